"""Read a whole dictionary of the feature store in one pass: what freezing a study needs, and a page must not do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from app.store import feature_schema as t
from app.store.features import FeatureStore
from app.store.packing import Group, unpack_contexts


@dataclass(frozen=True, slots=True)
class Place:
    """Where a context comes from, and how many tokens it has."""

    document: int
    tokens: int


def places(store: FeatureStore, site_id: int) -> dict[int, Place]:
    """Every context of a site, by id."""
    c = t.context.c
    query = select(c.id, c.document_id, func.json_array_length(c.tokens)).where(c.site_id == site_id)
    with store.engine.connect() as connection:
        return {context: Place(document, tokens) for context, document, tokens in connection.execute(query)}


def sweep(store: FeatureStore, dictionary_id: int, groups: Sequence[Group]) -> Iterator[tuple[int, list[list[int]]]]:
    """Each feature that has hits, in order of index, with the contexts of its hits in each group asked for."""
    h = t.hit.c
    query = select(h.feature, h.blob).where(h.dictionary_id == dictionary_id).order_by(h.feature)
    with store.engine.connect() as connection:
        for feature, blob in connection.execution_options(yield_per=1000).execute(query):
            found = unpack_contexts(blob, groups)
            if any(found):
                yield feature, found
