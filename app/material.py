"""What the feature store gives a study: features that can be shown, their slices of text, the arm-neutral pool."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from app.errors import UserError
from app.store.features import Context, Dictionary, FeatureStore
from app.store.packing import Group, PackedHit
from app.store.sweep import Place, places, sweep
from app.study import blinding
from app.study.answers import PIECES
from app.study.content import Cut, PoolContext, choose, cut
from app.study.intruders import FIFTHS, Pool, Third, draw_hits, thirds
from app.study.planted import Words
from app.study.protocol import Protocol
from app.study.sampling import Candidate

T = TypeVar("T")
FIRST, SECOND = 0, 1  # a site's two texts


@dataclass(frozen=True, slots=True)
class Source:
    """One dictionary: which of its features can be shown in every task of the study, and how many cannot."""

    dictionary: Dictionary
    candidates: list[Candidate]
    counts: dict[str, int]


class Material:
    """Raises NotFound, and UserError where the dictionaries were not built alike or the store lacks what is asked for."""

    def __init__(self, protocol: Protocol, features: FeatureStore) -> None:
        self.protocol = protocol
        self.store = features
        self.layout = protocol.layout
        names = [name for arm in protocol.arms for name in arm.dictionaries]
        dictionaries = [features.dictionary(name) for name in names]
        self.site = self._check_alike(dictionaries)
        self.groups: tuple[Group, ...] = (*self.layout.quantiles, *(("second",) if self.layout.second else ()))
        self.counts = [self.layout.contexts] * len(self.layout.quantiles)
        if self.layout.second:
            self.counts = [self.layout.contexts - self.layout.second, *self.counts[1:], self.layout.second]
        self.where: dict[int, dict[int, Place]] = {}  # by site, as are the next two
        self.pools: dict[int, list[PoolContext]] = {}
        self.intruders: dict[int, Pool] = {}
        self.sources = {dictionary.name: self._source(dictionary) for dictionary in dictionaries}

    def _check_alike(self, dictionaries: list[Dictionary]) -> int:
        """Arms that differ in k, text, context length or mask would be told apart, or compared, by that. The first's site."""
        sites = {site.id: site for site in self.store.sites()}
        own = [sites[dictionary.site_id] for dictionary in dictionaries]
        for what, values in (
            ("k", [dictionary.k for dictionary in dictionaries]),
            ("text", [site.corpus_hash for site in own]),
            ("second text", [site.second_corpus for site in own]),
            ("context length", [site.context_length for site in own]),
            ("skipped positions", [site.masked.get("start", 0) / site.contexts for site in own]),
        ):
            if len(set(values)) > 1:
                raise UserError(
                    f"The dictionaries of the study's arms differ in {what}; compare dictionaries that were built alike."
                )
        intruder = self.protocol.tasks.intruder
        for key, width in (("layout", self.layout.width), ("tasks.intruder", intruder.width if intruder else 0)):
            if width > own[0].context_length:
                raise UserError(
                    f"{key}.width is {width}, but the store's contexts have {own[0].context_length} tokens."
                )
        if self.layout.second and own[0].second_corpus is None:
            raise UserError(
                f"layout.second_share is {self.layout.second_share:g}, but the features of {own[0].name} were looked at on "
                "one text alone; build with `second_corpus`, or set it to 0."
            )
        return own[0].id

    def _source(self, dictionary: Dictionary) -> Source:
        features = {feature.index: feature for feature in self.store.features(dictionary.id)}
        groups = (*self.groups, *FIFTHS) if self.protocol.tasks.intruder else self.groups
        enough = {
            index: self._enough(dictionary, index, found)
            for index, found in sweep(self.store, dictionary.id, groups)  # type: ignore[arg-type]
            if features[index].state == "live"
        }
        candidates = [
            Candidate(dictionary.name, index, features[index].frequency, features[index].single_token)
            for index, can in enough.items()
            if can
        ]
        states = Counter(feature.state for feature in features.values())
        never, dead, eligible = states["never"], states["dead"], len(candidates)
        rare = len(features) - never - dead - eligible
        counts = {"features": len(features), "dead": dead, "never": never, "rare": rare, "eligible": eligible}
        return Source(dictionary, candidates, counts)

    def _enough(self, dictionary: Dictionary, index: int, groups: Sequence[Sequence[int]]) -> bool:
        """Whether a feature with hits in these contexts can be shown in every task of the study."""
        if self._choose(dictionary, groups[: len(self.groups)], lambda context: context) is None:
            return False
        fifths = groups[len(self.groups) :]
        return not fifths or self._trials(dictionary, index, fifths, lambda context: context) is not None

    def _choose(
        self, dictionary: Dictionary, groups: Sequence[Sequence[T]], context: Callable[[T], int]
    ) -> list[list[T]] | None:
        """Of each group's hits, those that a feature's page shows; None where they cannot fill one."""
        where = self.places(dictionary.site_id)
        wide = [[hit for hit in group if where[context(hit)].tokens >= self.layout.width] for group in groups]
        return choose(wide, self.counts, lambda hit: where[context(hit)].document)

    def _trials(
        self, dictionary: Dictionary, index: int, fifths: Sequence[Sequence[T]], context: Callable[[T], int]
    ) -> Mapping[Third, list[list[T]]] | None:
        """By third, the hits of each intruder trial, the last one to be replaced; None where they don't suffice."""
        task = self.protocol.tasks.intruder
        assert task is not None
        where, name = self.places(dictionary.site_id), f"{dictionary.name}/{index}"
        wide = [[hit for hit in fifth if where[context(hit)].tokens >= task.width] for fifth in fifths]
        drawn = {
            third: draw_hits(
                hits,
                task.trials,
                lambda hit: where[context(hit)].document,
                lambda hit: blinding.keyed(self.protocol.seed, "trial", name, context(hit)),
            )
            for third, hits in thirds(wide).items()
        }
        return drawn if all(drawn.values()) else None

    def cuts(self, one: Candidate) -> list[list[tuple[int, Cut]]]:
        """The slices of a candidate's page with their contexts, block by block; those of the second text end the first."""
        dictionary = self.sources[one.dictionary].dictionary
        where, width = self.places(dictionary.site_id), self.layout.width
        maximum = self.store.feature(dictionary, one.feature).max
        hits = [self.store.hits(dictionary.id, one.feature, group) for group in self.groups]
        blocks = self._choose(dictionary, hits, lambda hit: hit.context) or []
        if self.layout.second:
            blocks = [[*blocks[0], *blocks[-1]], *blocks[1:-1]]
        return [
            [
                (hit.context, cut(where[hit.context].tokens, hit.peak, hit.positions, hit.values, maximum, width))
                for hit in block
            ]
            for block in blocks
        ]

    def trials(self, one: Candidate) -> Mapping[Third, list[list[PackedHit]]]:
        """By third, the hits of each of a candidate's intruder trials, the last one to be replaced."""
        dictionary = self.sources[one.dictionary].dictionary
        fifths = [self.store.hits(dictionary.id, one.feature, group) for group in FIFTHS]  # type: ignore[arg-type]
        return self._trials(dictionary, one.feature, fifths, lambda hit: hit.context) or {}

    def known(self, one: Candidate) -> set[int]:
        """The documents in which a candidate is known to fire."""
        dictionary = self.sources[one.dictionary].dictionary
        where = self.places(dictionary.site_id)
        groups: tuple[Group, ...] = ("top", "q1", "q2", "q3", "q4", "q5")
        return {
            where[hit.context].document
            for group in groups
            for hit in self.store.hits(dictionary.id, one.feature, group)
        }

    def tokens(self, ids: Iterable[int]) -> dict[int, list[str]]:
        """The tokens of contexts, by id."""
        return {number: context.tokens for number, context in self.store.contexts(ids).items()}

    def site_of(self, one: Candidate) -> int:
        return self.sources[one.dictionary].dictionary.site_id

    def places(self, site_id: int) -> dict[int, Place]:
        if site_id not in self.where:
            self.where[site_id] = places(self.store, site_id)
        return self.where[site_id]

    def pool(self, site_id: int) -> list[PoolContext]:
        """The arm-neutral contexts of a site's first text, in order of id."""
        if site_id not in self.pools:
            self.pools[site_id] = [_pooled(context) for context in self.store.pool(site_id)]
        return self.pools[site_id]

    def intruder_pool(self, site_id: int) -> Pool:
        if site_id not in self.intruders:
            self.intruders[site_id] = Pool(self.pool(site_id))
        return self.intruders[site_id]

    @cached_property
    def second_pool(self) -> list[PoolContext]:
        """Contexts of the second text, in order of id: all in which some feature of the study is among its strongest."""
        ids = {
            context
            for source in self.sources.values()
            for _, (found,) in sweep(self.store, source.dictionary.id, ("second",))
            for context in found
        }
        return [_pooled(context) for context in self.store.contexts(ids).values()]

    @cached_property
    def words(self) -> Words:
        return Words.of(self.pool(self.site), self.protocol.seed)

    @cached_property
    def second_words(self) -> Words:
        return Words.of(self.second_pool, self.protocol.seed)

    def plantable(self, pages: int, trials: int, most: int) -> tuple[list[str], list[str]]:
        """Words for so many planted pages, and for so many sets of at most `most` trials, by seed, no word twice.

        Raises UserError where the pool has too few that occur in documents enough.
        """
        layout, seed = self.layout, self.protocol.seed
        of_trials = self.words.plantable(most * (PIECES - 1) + 1, seed)[:trials]
        needed = layout.contexts * len(layout.quantiles) - layout.second
        there = set(self.second_words.plantable(layout.second, seed)) if layout.second else None
        of_pages = [
            word
            for word in self.words.plantable(needed, seed)
            if word not in of_trials and (there is None or word in there)
        ][:pages]
        if len(of_pages) < pages or len(of_trials) < trials:
            raise UserError(
                f"The study needs {pages + trials} words to plant, but in the store's pool of {len(self.pool(self.site))} "
                f"contexts only {len(of_pages) + len(of_trials)} occur often enough; ask for fewer, or build with a larger "
                "pool."
            )
        return of_pages, of_trials


def _pooled(context: Context) -> PoolContext:
    return PoolContext(context.document_id, context.tokens, context.masked)
