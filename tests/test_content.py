"""What a page shows: slices around the peak, levels, one context a document, and null pages that copy them."""

import json
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.study.content import Cut, Page, PoolContext, Snippet, choose, cut, level, null_page, page

WIDTH = 8
QUANTILES = ("top", "q3", "q5")


@st.composite
def firing(draw: st.DrawFn) -> tuple[int, int, list[int], list[float]]:
    """Length of a context, peak, the positions that fire, and their values."""
    length = draw(st.integers(WIDTH, 40))
    positions = sorted(draw(st.sets(st.integers(0, length - 1), min_size=1)))
    values = draw(st.lists(st.floats(1e-3, 9), min_size=len(positions), max_size=len(positions)))
    return length, positions[values.index(max(values))], positions, values


@given(firing())
def test_a_cut_has_the_display_width_holds_the_peak_and_marks_just_what_fires(given_firing) -> None:
    length, peak, positions, values = given_firing
    made = cut(length, peak, positions, values, max(values), WIDTH)
    assert len(made.levels) == WIDTH
    assert 0 <= made.start <= length - WIDTH
    assert made.start + made.peak == peak
    assert made.levels[made.peak] == max(made.levels) == 4
    lit = {made.start + place for place, one in enumerate(made.levels) if one}
    assert lit == {p for p in positions if made.start <= p < made.start + WIDTH}
    if WIDTH // 2 <= peak <= length - WIDTH // 2:
        assert made.peak == WIDTH // 2, "centred where the context allows"
    snippet = made.snippet([str(n) for n in range(length)])
    assert snippet.tokens[snippet.peak] == str(peak)


def test_a_context_shorter_than_the_display() -> None:
    with pytest.raises(ValueError, match="7 tokens cannot show 8"):
        cut(7, 3, [3], [1.0], 1.0, WIDTH)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.001, 1), (1.0, 1), (1.001, 2), (2.0, 2), (3.0, 3), (3.001, 4), (4.0, 4), (5.0, 4)]
)
def test_levels_are_quarters_of_the_features_own_maximum(value: float, expected: int) -> None:
    assert level(value, 4.0) == expected


text = st.text(alphabet=st.characters(exclude_categories=[]), max_size=4)


@given(st.lists(st.tuples(text, st.integers(0, 4)), min_size=1, max_size=9))
def test_pages_of_any_text_survive_json(tokens: list[tuple[str, int]]) -> None:
    snippet = Snippet(tuple(t for t, _ in tokens), tuple(n for _, n in tokens), 0)
    made = page([[snippet], [snippet], [snippet]])
    assert Page.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert [block.label for block in made.blocks] == ["Strongest", "Middle", "Weakest"]


def test_content_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        Page.from_json({"version": 2, "blocks": []})


@given(st.lists(st.lists(st.integers(0, 15), max_size=8), min_size=1, max_size=3), st.integers(1, 4))
def test_choose_takes_one_a_document_or_says_that_it_cannot(groups: list[list[int]], count: int) -> None:
    chosen = choose(groups, [count] * len(groups), lambda document: document)
    if chosen is None:
        return
    everything = [document for block in chosen for document in block]
    assert len(everything) == len(set(everything)) == count * len(groups)
    for block, group in zip(chosen, groups, strict=True):
        assert block == sorted(block, key=group.index), "in the group's own order"


def test_the_large_group_gives_way_to_the_small_ones() -> None:
    top, middle, weak = list(range(20)), [0, 1, 21, 22], [2, 3, 23, 0]
    assert choose([top, middle, weak], [3, 3, 3], lambda document: document) == [[4, 5, 6], [0, 1, 21], [2, 3, 23]]
    assert choose([top, [1, 1, 1], weak], [2, 2, 2], lambda document: document) is None
    assert choose([top, middle, weak], [1, 3, 2], lambda document: document) == [[4], [0, 1, 21], [2, 3]]


@st.composite
def donors(draw: st.DrawFn) -> list[list[Cut]]:
    levels = st.lists(st.sampled_from([0, 0, 0, 1, 4]), min_size=WIDTH, max_size=WIDTH).map(tuple)
    cuts = st.builds(Cut, st.integers(0, 8), levels, st.integers(0, WIDTH - 1))
    return [[draw(cuts) for _ in range(2)] for _ in QUANTILES]


def some_pool(chance: random.Random) -> list[PoolContext]:
    """Contexts of 16 to 20 tokens of which one in ten shows nothing; some documents have several."""
    return [
        PoolContext(
            document=chance.randrange(30),
            tokens=[chance.choice(["", *(f" {number}-{place}" for _ in range(9))]) for place in range(16 + number % 5)],
            masked=[chance.randrange(16)],
        )
        for number in range(60)
    ]


def of_first(cuts: list[list[Cut]]) -> list[list[tuple[int, Cut]]]:
    return [[(0, one) for one in block] for block in cuts]


@given(donors(), st.integers(0, 2**32))
def test_a_null_page_copies_levels_and_offsets_onto_text_where_they_may_stand(cuts, seed: int) -> None:
    pool = some_pool(random.Random(seed))
    made = null_page(of_first(cuts), [pool], QUANTILES)
    assume(made is not None)
    documents = []
    for block, donor_block in zip(made.blocks, cuts, strict=True):
        for snippet, donor in zip(block.snippets, donor_block, strict=True):
            assert (snippet.levels, snippet.peak) == (donor.levels, donor.peak)
            [home] = [c for c in pool if tuple(c.tokens[donor.start : donor.start + WIDTH]) == snippet.tokens]
            documents.append(home.document)
            lit = [place for place, one in enumerate(snippet.levels) if one]
            assert all(snippet.tokens[place] for place in lit)
            assert not {donor.start + place for place in lit} & set(home.masked)
    assert len(set(documents)) == len(documents) == 6


def test_a_pool_too_small_for_a_null_page() -> None:
    one = Cut(0, (4, *[0] * 7), 0)
    context = PoolContext(0, ["a"] * 16, [])
    cuts = of_first([[one], [one], [one]])
    assert null_page(cuts, [[context]], QUANTILES) is None
    others = [PoolContext(1, ["b"] * 16, []), PoolContext(1, ["c"] * 16, [])]
    assert null_page(cuts, [[context, *others]], QUANTILES) is None


def test_a_slice_of_the_second_text_is_laid_over_the_second_text() -> None:
    one = Cut(0, (4, *[0] * 7), 0)
    pools = [[PoolContext(0, ["a"] * 16, [])], [PoolContext(7, ["z"] * 16, [])]]
    made = null_page([[(0, one), (1, one)]], pools, ["top"])
    assert made is not None
    assert [snippet.tokens[0] for snippet in made.blocks[0].snippets] == ["a", "z"]
