"""Freeze a study: read the feature store, draw features, build every page, and store it all in one transaction.

    freeze(load_protocol(path), FeatureStore(settings.feature_path), study_store, actor="cli")

From then on a rater's routes read the study store alone, so that a rebuilt or lost feature store changes no item.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from app.errors import UserError
from app.store.features import Dictionary, FeatureStore
from app.store.packing import Group
from app.store.study import Study, StudyStore, TokenSource, random_token
from app.store.sweep import Place, places, sweep
from app.study import blinding
from app.study.content import Cut, Page, PoolContext, choose, cut, null_page, page
from app.study.frozen import FrozenItem, FrozenStudy, KeyRow
from app.study.plan import Question, demand, questions
from app.study.protocol import Protocol
from app.study.sampling import DECILES, Candidate, Drawn, draw_evenly
from app.toml import load_toml

T = TypeVar("T")
BLOCK_GROUPS: tuple[Group, ...] = ("top", "q3", "q5")  # strongest, middle, weakest


def load_protocol(path: Path) -> Protocol:
    """A STUDY.toml. Raises NotFound where it is missing, UserError (naming the key) where it is not as it should be."""
    return load_toml(path, Protocol)


def freeze(protocol: Protocol, features: FeatureStore, store: StudyStore, actor: str) -> Study:
    """Draw, build and store a study. Raises NotFound, UserError, or Conflict where the name is taken."""
    store.check_name_is_free(protocol.name)  # drawing takes seconds
    return store.freeze(prepare(protocol, features, store.token), actor)


def prepare(protocol: Protocol, features: FeatureStore, token: TokenSource = random_token) -> FrozenStudy:
    """Everything of a study but its storing. Same protocol, feature store and tokens: same study."""
    return _Freezer(protocol, features).frozen(token)


@dataclass(frozen=True, slots=True)
class _Source:
    """One dictionary: which of its features can fill a page, and how many cannot."""

    dictionary: Dictionary
    candidates: list[Candidate]
    counts: dict[str, int]


class _Freezer:
    def __init__(self, protocol: Protocol, features: FeatureStore) -> None:
        self.protocol = protocol
        self.store = features
        names = [name for arm in protocol.arms for name in arm.dictionaries]
        dictionaries = [features.dictionary(name) for name in names]
        self._check_alike(dictionaries)
        self.places: dict[int, dict[int, Place]] = {}  # by site
        self.pools: dict[int, list[tuple[int, PoolContext]]] = {}
        self.sources = {dictionary.name: self._source(dictionary) for dictionary in dictionaries}

    def frozen(self, token: TokenSource) -> FrozenStudy:
        protocol = self.protocol
        asked = questions(protocol)
        hands = self._draw(asked)
        secret, salt = token(), token()
        items = [self._item(question, blinding.item_id(secret, number), hands) for number, question in enumerate(asked)]
        items.sort(key=lambda item: item.public_id)
        canonical = protocol.canonical(self.store.digest())
        return FrozenStudy(
            name=protocol.name,
            title=protocol.title,
            instructions=protocol.texts.instructions,
            protocol=canonical,
            protocol_hash=blinding.sha256_hex(canonical),
            secret=secret,
            key_salt=salt,
            key_commitment=blinding.commitment(salt, blinding.key_rows(items)),
            report=self._report(items),
            items=tuple(items),
        )

    def _check_alike(self, dictionaries: list[Dictionary]) -> None:
        """Arms that differ in k, text or context length would be told apart, or compared, by that."""
        sites = {site.id: site for site in self.store.sites()}
        first = dictionaries[0]
        for other in dictionaries[1:]:
            for what, one, two in (
                ("k", first.k, other.k),
                ("corpus", sites[first.site_id].corpus_hash, sites[other.site_id].corpus_hash),
                ("context length", sites[first.site_id].context_length, sites[other.site_id].context_length),
            ):
                if one != two:
                    raise UserError(
                        f"The dictionaries {first.name} and {other.name} differ in {what}; compare dictionaries that "
                        "were built alike."
                    )
        length = sites[first.site_id].context_length
        if self.protocol.layout.width > length:
            raise UserError(
                f"layout.width is {self.protocol.layout.width}, but the store's contexts have {length} tokens."
            )

    def _source(self, dictionary: Dictionary) -> _Source:
        features = {feature.index: feature for feature in self.store.features(dictionary.id)}
        candidates = [
            Candidate(dictionary.name, index, features[index].frequency, features[index].single_token)
            for index, groups in sweep(self.store, dictionary.id, BLOCK_GROUPS)
            if features[index].state == "live" and self._choose(dictionary, groups, lambda context: context) is not None
        ]
        states = Counter(feature.state for feature in features.values())
        never, dead, eligible = states["never"], states["dead"], len(candidates)
        rare = len(features) - never - dead - eligible
        counts = {"features": len(features), "dead": dead, "never": never, "rare": rare, "eligible": eligible}
        return _Source(dictionary, candidates, counts)

    def _choose(
        self, dictionary: Dictionary, groups: Sequence[Sequence[T]], context: Callable[[T], int]
    ) -> list[list[T]] | None:
        """Of each group's hits, those that a feature's page shows; None where they cannot fill one."""
        where, layout = self._places(dictionary.site_id), self.protocol.layout
        wide = [[hit for hit in group if where[context(hit)].tokens >= layout.width] for group in groups]
        return choose(wide, layout.contexts, lambda hit: where[context(hit)].document)

    def _draw(self, asked: list[Question]) -> dict[str, Iterator[tuple[Drawn, bool]]]:
        """By arm, the features to hand out, one a page. A control is handed features whose highlights it copies: they
        are drawn beyond those shown, from each arm in turn, so that nobody meets the original.
        """
        need = demand(asked)
        real = [arm.name for arm in self.protocol.real_arms]
        copied = {arm.name: list(islice(cycle(real), need[arm.name])) for arm in self.protocol.controls}
        donors = Counter(name for names in copied.values() for name in names)
        drawn = {
            arm.name: iter(
                draw_evenly(
                    {name: self.sources[name].candidates for name in arm.dictionaries},
                    need[arm.name] + donors[arm.name],
                    self.protocol.seed,
                )
            )
            for arm in self.protocol.real_arms
        }
        shown = {name: [(next(drawn[name]), False) for _ in range(need[name])] for name in real}
        copies = {control: [(next(drawn[name]), True) for name in names] for control, names in copied.items()}
        return {name: iter(hand) for name, hand in (shown | copies).items()}

    def _item(self, question: Question, public_id: str, hands: dict[str, Iterator[tuple[Drawn, bool]]]) -> FrozenItem:
        pages: dict[str, Page] = {}
        key: list[KeyRow] = []
        for name, arm in zip("ab", question.arms, strict=False):
            drawn, copied = next(hands[arm])
            one = drawn.candidate
            if copied:
                pages[name] = self._null_page(one)
                key.append(KeyRow(name, arm, None, None, {"copies": f"{one.dictionary}/{one.feature}"}))
            else:
                pages[name] = self._page(one)
                stratum = {"decile": drawn.decile, "single_token": one.single_token}
                key.append(KeyRow(name, arm, one.dictionary, one.feature, stratum))
        return FrozenItem(public_id, question.task, pages, question.turns, tuple(key))

    def _page(self, one: Candidate) -> Page:
        blocks = self._cuts(one)
        contexts = self.store.contexts(context for block in blocks for context, _ in block)
        return page([[cut.snippet(contexts[context].tokens) for context, cut in block] for block in blocks])

    def _null_page(self, donor: Candidate) -> Page:
        cuts = [[cut for _, cut in block] for block in self._cuts(donor)]
        pool = self._pool(self.sources[donor.dictionary].dictionary.site_id)
        label = f"null {donor.dictionary}/{donor.feature}"
        in_order = blinding.shuffled(pool, self.protocol.seed, label, lambda entry: entry[0])
        made = null_page(cuts, [context for _, context in in_order])
        if made is None:
            raise UserError(
                f"The store's pool of {len(pool)} contexts is too small for a null page; build from more text."
            )
        return made

    def _cuts(self, one: Candidate) -> list[list[tuple[int, Cut]]]:
        """The slices of a candidate's page with their contexts, block by block."""
        dictionary = self.sources[one.dictionary].dictionary
        where, width = self._places(dictionary.site_id), self.protocol.layout.width
        maximum = self.store.feature(dictionary, one.feature).max
        hits = [self.store.hits(dictionary.id, one.feature, group) for group in BLOCK_GROUPS]
        blocks = self._choose(dictionary, hits, lambda hit: hit.context)
        return [
            [
                (hit.context, cut(where[hit.context].tokens, hit.peak, hit.positions, hit.values, maximum, width))
                for hit in block
            ]
            for block in blocks or ()
        ]

    def _places(self, site_id: int) -> dict[int, Place]:
        if site_id not in self.places:
            self.places[site_id] = places(self.store, site_id)
        return self.places[site_id]

    def _pool(self, site_id: int) -> list[tuple[int, PoolContext]]:
        if site_id not in self.pools:
            self.pools[site_id] = [
                (context.id, PoolContext(context.document_id, context.tokens, context.masked))
                for context in self.store.pool(site_id)
            ]
        return self.pools[site_id]

    def _report(self, items: list[FrozenItem]) -> dict[str, Any]:
        """What each arm shows and what each dictionary could not: for staff."""
        rows = [row for item in items for row in item.key]
        arms: dict[str, Any] = {}
        for arm in self.protocol.arms:
            own = [row for row in rows if row.arm == arm.name]
            deciles = Counter(row.stratum["decile"] for row in own if row.dictionary)
            arms[arm.name] = {"pages": len(own), "by_decile": [deciles[d] for d in range(DECILES)] if deciles else None}
        return {
            "arms": arms,
            "dictionaries": {name: source.counts for name, source in self.sources.items()},
        }
