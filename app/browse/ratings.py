"""What people said of a feature, once the study that asked them is revealed."""

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from app.browse.kept import kept
from app.memo import memo
from app.render import NOTHING, part
from app.store.features import Dictionary, Feature, FeatureStore
from app.store.sealed import FeatureRatings, any_revealed, ratings_of
from app.store.study import StudyStore
from app.study.answers import HIGHEST, LOWEST


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One study's ratings of the feature; `tally`: how many raters gave each score, lowest first."""

    ratings: FeatureRatings
    mean: float | None
    tally: tuple[tuple[int, int], ...]
    found: int  # intruders


@dataclass(frozen=True, slots=True)
class RatingPart:
    rated: tuple[RatedLine, ...]


def rated(study: StudyStore, store: FeatureStore, dictionary: Dictionary, feature: Feature) -> tuple[RatedLine, ...]:
    """Nothing before a study is revealed: the table that says which page was which is not read before."""
    if not memo(study).ask("any revealed", lambda: any_revealed(study)):
        return ()
    digest = kept(store, "digest", lambda: store.stated_digest)
    return tuple(map(line, ratings_of(study, dictionary.name, feature.index, digest)))


def rating_part(study: StudyStore, store: FeatureStore, dictionary: Dictionary, feature: Feature) -> Markup:
    """The section of a feature's page; empty where there are none."""
    found = rated(study, store, dictionary, feature)
    return part("browse/_ratings.html", RatingPart(found)) if found else NOTHING


def line(ratings: FeatureRatings) -> RatedLine:
    tally = Counter(ratings.scores)
    return RatedLine(
        ratings,
        sum(ratings.scores) / len(ratings.scores) if ratings.scores else None,
        tuple((score, tally[score]) for score in range(LOWEST, HIGHEST + 1)),
        sum(ratings.picks),
    )
