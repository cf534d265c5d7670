"""The features that lie near a feature, or fire with it, dictionary by dictionary."""

from dataclasses import dataclass

from app.store.feature_rows import read_relations
from app.store.features import Dictionary, Feature, FeatureStore, RelationKind

RelatedFeature = tuple[int, str, str, float]
"""Number, state, most common peak token, and the value, which is a cosine or a Jaccard index. A plain tuple: a page has dozens."""


@dataclass(frozen=True, slots=True)
class RelatedGroup:
    """Those of one dictionary, nearest first."""

    dictionary: Dictionary
    own: bool
    features: list[RelatedFeature]


def related(store: FeatureStore, feature: Feature) -> dict[RelationKind, list[RelatedGroup]]:
    """What stands near a feature, its own dictionary first; a kind that was not made is empty."""
    dictionaries = {dictionary.id: dictionary for dictionary in store.dictionaries()}
    found: dict[RelationKind, list[RelatedGroup]] = {"neighbour": [], "cofiring": []}
    for other, kind, features in read_relations(store, feature.dictionary_id, feature.index):
        columns = store.columns(other)
        states, tokens = columns.states, columns.top
        near = [(one, states[one], tokens[one], value) for one, value in features]
        found[kind].append(RelatedGroup(dictionaries[other], other == feature.dictionary_id, near))
    return found
