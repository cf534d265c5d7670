"""The charts of a dictionary: what their bars count, where they lead, what the cosine curves show."""

import re

import numpy as np
import pytest

from app import render as r
from app.browse.charts import gauge
from app.browse.listing import Listing
from app.browse.neighbours import cosine_curves, random_beside
from app.browse.shapes import density_chart, entropy_chart, maximum_chart, shape


def counted(chart) -> list[int]:
    return [int(re.sub(r"\D", "", bar.value)) for bar in chart.bars]


def address(listing: Listing) -> str:
    return listing.query()


def test_every_feature_that_fires_is_in_each_histogram(store, trained):
    drawn = shape(store, trained)
    frequencies = store.frequencies(trained.id)
    assert frequencies == [feature.frequency for feature in store.features(trained.id)]
    firing = sum(frequency > 0 for frequency in frequencies)
    assert f"{r.whole(firing)} features on some token" in drawn.density.summary
    for chart in (drawn.density, drawn.maximum, drawn.entropy):
        assert sum(counted(chart)) == firing
        assert max(bar.height for bar in chart.bars) == chart.height
        assert all(bar.x >= 0 and bar.x + bar.width <= chart.width for bar in chart.bars)
    assert shape(store, trained) is drawn


def test_a_bar_leads_to_the_features_that_it_counts(client, store, trained, everything):
    fired = [feature for feature in everything if feature.frequency > 0]
    for chart in (shape(store, trained).density, shape(store, trained).maximum, shape(store, trained).entropy):
        assert len(chart.bars) > 8
        for bar, count in zip(chart.bars, counted(chart), strict=True):
            query = dict(re.findall(r"(\w+)=([^&#]+)", bar.href))
            found = store.count(trained.id, Listing.parse(query).where())
            edge = sum(  # on the edge of two bars: in the next one, and in the filter of both
                getattr(feature, name) == float(query[f"max_{key}"])
                for feature in fired
                for key, name in (("frequency", "frequency"), ("max", "max"), ("entropy", "peak_entropy"))
                if f"max_{key}" in query and bar is not chart.bars[-1]
            )
            assert found - edge == count, bar.href
    page = client.get(f"/dictionaries/{trained.name}").text
    assert page.count(f'href="{bar.href.replace("&", "&amp;")}"') == 2  # the bar, and its number


@pytest.mark.parametrize("frequencies", [[], [0.0], [1e-30, 1.0], [2.0]])
def test_the_density_chart_takes_whatever_frequencies_there_are(frequencies):
    assert len(density_chart(frequencies, address).bars) == len({f for f in frequencies if f})


@pytest.mark.parametrize("values", [[1.0], [1e-9, 1e9], [5.0, 5.0, 0.0], [3.0, -1.0]])
def test_the_other_charts_take_whatever_values_there_are(values):
    chart = maximum_chart(np.array(values), address)
    assert sum(counted(chart)) == sum(value > 0 for value in values)
    assert sum(counted(entropy_chart(np.array([0.0, 0.125, 9.0]), address))) == 3
    assert maximum_chart(np.array([0.0, -1.0]), address) is None


def test_a_gauge_stays_inside_and_says_its_figures():
    drawn = gauge("Kept", 1.2, [("floor", -0.1, "low"), ("other", None, "none")])
    assert (drawn.filled, [mark.at for mark in drawn.marks]) == (1.0, [0.0])
    assert drawn.summary == "Kept 120.0%, floor −10.0%."
    assert gauge("Kept", None).filled is None


def test_cosine_curves_stand_beside_those_of_a_random_dictionary(client, store, trained):
    beside = random_beside(store, trained)
    assert beside is not None
    assert not beside.trained
    within = {one.dictionary_id: one.curves for one in store.comparisons() if one.dictionary_id == one.other_id}
    curves = cosine_curves(store, trained, beside)
    assert [curve.label for curve in curves] == ["Nearest neighbour", "10th neighbour", "100th neighbour"]
    page = client.get(f"/dictionaries/{trained.name}").text
    for curve, rank in zip(curves, ("1", "10", "100"), strict=True):
        assert [share for share, _ in curve.rows] == within[trained.id]["quantiles"]
        for line, dictionary in zip(curve.lines, (trained, beside), strict=True):
            heights = [1 - float(point.partition(",")[2]) / curve.height for point in line.points.split()]
            assert heights == pytest.approx(within[dictionary.id][rank], abs=1e-3)
            assert f'points="{line.points}"' in page
    assert len(cosine_curves(store, trained, None)[0].lines) == 1
