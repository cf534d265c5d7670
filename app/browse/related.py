"""The features that lie near a feature, or fire with it, dictionary by dictionary."""

from dataclasses import dataclass

from app.browse.lookup import feature_url
from app.store.feature_rows import Glance, glances, read_relations
from app.store.features import Dictionary, Feature, FeatureStore, Relation, RelationKind


@dataclass(frozen=True, slots=True)
class RelatedFeature:
    """One of them; `value` is a cosine or a Jaccard index."""

    feature: Glance
    url: str
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
    wanted: dict[int, set[int]] = {}
    for relation in relations:
        wanted.setdefault(relation.other_id, set()).update(one.feature for one in relation.features)
    known = glances(store, wanted)

    def group(relation: Relation) -> RelatedGroup:
        dictionary = dictionaries[relation.other_id]
        return RelatedGroup(
            dictionary,
            relation.other_id == feature.dictionary_id,
            tuple(
                RelatedFeature(known[dictionary.id, one.feature], feature_url(dictionary, one.feature), one.value)
                for one in relation.features
            ),
        )

    return {
        "neighbour": tuple(group(relation) for relation in relations if relation.kind == "neighbour"),
        "cofiring": tuple(group(relation) for relation in relations if relation.kind == "cofiring"),
    }
