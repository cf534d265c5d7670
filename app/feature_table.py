"""features.csv: every feature of a study's dictionaries, with its facts and its machine scores; docs/export.md explains it.

    table = feature_table(store, "demo", FeatureStore(path))

Before the reveal and after it the same: it says which dictionaries there are, as the protocol does, and not which features
were shown.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.codebook import FEATURES, Cell, Column
from app.export import finite, stamp
from app.store.features import Dictionary, Feature, FeatureStore
from app.store.scores import Measure, Scores
from app.store.study import StudyStore

BATCH = 1000  # features held at a time
OF_FEATURE = (
    *("state", "count", "frequency", "contexts", "max", "min", "mean", "peak_entropy", "single_token", "top_token"),
    *("decile_slope", "second_frequency", "second_stability"),
)
OF_DICTIONARY = ("kind", "trained", "m", "k")


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """A table to be read as often as it is written."""

    features: FeatureStore
    scores: Scores | None
    stamped: dict[str, Cell]
    arms: dict[str, str]  # by dictionary, in the order of the protocol

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fixed ones, then two for each measure of the scores at hand, and the explanation."""
        return (*FEATURES, *(_of_scores(self.scores.measures()) if self.scores else ()))

    def rows(self, of: Mapping[str, Collection[int]] | None = None) -> Iterator[dict[str, Cell]]:
        """By arm, dictionary and index; `of`: of these features alone, by dictionary."""
        empty: dict[str, Cell] = dict.fromkeys(column.name for column in self.columns)
        for name, arm in self.arms.items():
            dictionary = self.features.dictionary(name)
            scores = self.scores.some(dictionary.id) if self.scores else {}
            texts = self.scores.explanations(dictionary.id) if self.scores else {}
            for feature in _features(self.features, dictionary, None if of is None else of.get(name, ())):
                row = {**empty, **self.stamped, "arm": arm, **_row(dictionary, feature)}
                for score in scores.get(feature.index, ()):
                    own, null = _names(score.measure)
                    row |= {own: finite(score.value), null: finite(score.null)}
                if feature.index in texts:
                    row["explanation"] = texts[feature.index].text
                yield row


def feature_table(store: StudyStore, name: str, features: FeatureStore) -> FeatureTable | None:
    """The table of a study; None where this is not the feature store that it was drawn from.

    Raises NotFound, UserError where the scores beside the feature store are of another one.
    """
    study = store.study(name)
    if study.protocol["feature_digest"] != features.digest():
        return None
    arms = {dictionary: arm["name"] for arm in study.protocol["arms"] for dictionary in arm["dictionaries"]}
    return FeatureTable(features, Scores.beside(features), stamp(store, study), arms)


def _names(measure: str) -> tuple[str, str]:
    """The columns of a measure: the features' own, and that of its null."""
    slug = measure.replace("-", "_")
    return f"score_{slug}", f"null_{slug}"


def _of_scores(measures: Iterable[Measure]) -> Iterator[Column]:
    for measure in measures:
        own, null = _names(measure.name)
        yield Column(own, "real", f"machine score, {measure.title}: {measure.meaning}")
        yield Column(null, "real", f"the same of random contexts in place of the feature's own ({measure.title})")
    yield Column(
        "explanation", "text", "what a language model says that its contexts have in common; empty where none was asked"
    )


def _features(store: FeatureStore, dictionary: Dictionary, of: Collection[int] | None) -> Iterator[Feature]:
    if of is not None:
        found = store.some(dictionary.id, of)
        yield from (found[index] for index in sorted(found))
        return
    for start in range(0, dictionary.m, BATCH):
        yield from store.features(dictionary.id, limit=BATCH, offset=start)


def _row(dictionary: Dictionary, feature: Feature) -> dict[str, Cell]:
    return {
        "dictionary": dictionary.name,
        "feature": feature.index,
        **{name: getattr(dictionary, name) for name in OF_DICTIONARY},
        **{name: finite(getattr(feature, name)) for name in OF_FEATURE},
    }
