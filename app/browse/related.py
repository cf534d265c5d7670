"""The features that lie near a feature, or fire with it, dictionary by dictionary."""

from dataclasses import dataclass
from typing import NamedTuple

from app.store.feature_rows import read_relations
from app.store.features import Dictionary, Feature, FeatureStore, Relation, RelationKind


class RelatedFeature(NamedTuple):
    """One of them; `value` is a cosine or a Jaccard index. A tuple: a page has dozens."""

    number: int
    state: str
    top_token: str
    value: float


@dataclass(frozen=True, slots=True)
class RelatedGroup:
    """Those of one dictionary, nearest first."""

    dictionary: Dictionary
    own: bool
    features: tuple[RelatedFeature, ...]


def related(store: FeatureStore, feature: Feature) -> dict[RelationKind, tuple[RelatedGroup, ...]]:
    """What stands near a feature, its own dictionary first; a kind that was not made is empty."""
    dictionaries = {dictionary.id: dictionary for dictionary in store.dictionaries()}
    relations = read_relations(store, feature.dictionary_id, feature.index)

    def group(relation: Relation) -> RelatedGroup:
        columns = store.columns(relation.other_id)
        states, tokens = columns.states, columns.top
        return RelatedGroup(
            dictionaries[relation.other_id],
            relation.other_id == feature.dictionary_id,
            tuple([RelatedFeature(one, states[one], tokens[one], value) for one, value in relation.features]),
        )

    return {
        "neighbour": tuple(group(relation) for relation in relations if relation.kind == "neighbour"),
        "cofiring": tuple(group(relation) for relation in relations if relation.kind == "cofiring"),
    }
