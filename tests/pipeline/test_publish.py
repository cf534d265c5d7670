"""What publishing puts into a store, read back: both tails, a second text, joined tokens, states; and nothing where it fails."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import UserError
from app.store.features import FeatureStore
from app.store.matching import match_query, plain
from app.store.packing import GROUPS
from app.store.postings import unpack_postings
from pipeline.blocks import WIDTH
from pipeline.config import ModelConfig, PagesConfig, SiteConfig
from pipeline.corpus import Contexts
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import Fidelity
from pipeline.engines.local import Local
from pipeline.entries import RandomSignConfig
from pipeline.hits import Accumulator, Keep, Summary, merge
from pipeline.publish import PublishedDictionary, PublishedSite, PublishedText, publish
from pipeline.published import hit_bytes
from pipeline.sample import Statistics
from pipeline.text import TokenText
from tests.pipeline.searched import searched

M, D, LENGTH = 12, 4, 16
KEEP = Keep.of(top=5, per_quantile=2, seed=1, spread=1.0)
PAGES = PagesConfig(top=5, per_quantile=2, pool=4)


def a_text(name: str, count: int, seed: int, split: list[int]) -> PublishedText:
    """Random tokens, with a character that is split over several, `split`, in every other context."""
    random = np.random.default_rng(seed)
    tokens = random.integers(300, 900, (count, LENGTH)).astype(np.int32)
    tokens[::2, 5 : 5 + len(split)] = split
    contexts = Contexts(
        tokens=tokens,
        document=(np.arange(count) // 2).astype(np.int32),
        held_out=np.arange(count) < count // 10,
        titles={number: f"{name} {number}" for number in range(-(-count // 2))},
        windows=count,
    )
    allowed = np.ones((count, LENGTH), bool)
    allowed[:, 0] = False
    return PublishedText(name, contexts, allowed, {"special": count, "sink": 0})


def read(dictionary: Dictionary, text: PublishedText, seed: int) -> Callable[[int], Summary]:
    """The summary of random activations at a text's unmasked positions, from two parts, by block."""
    context, position = np.nonzero(text.allowed)
    x = torch.randn(len(context), D, generator=torch.Generator().manual_seed(seed))
    parts = []
    for mine in (context < 10, context >= 10):
        accumulator = Accumulator(M, KEEP, dictionary.signed)
        codes: Codes = dictionary.encode(x[torch.from_numpy(mine)])
        accumulator.absorb(codes, context[mine], position[mine], text.contexts.document)
        parts.append(accumulator.summary())
    return merge(parts, KEEP).cut(WIDTH).__getitem__


@pytest.fixture(scope="module")
def published_site(tiny_tokenizer: Any) -> PublishedSite:
    torch.manual_seed(0)
    encoder = torch.randn(M, D)
    encoder[3] = 0  # can't fire
    encoder[4:7] *= 1e-6  # never among the largest
    signed = Dictionary("random-sign", "absolute-topk", encoder, torch.zeros(M), None, torch.zeros(D), k=2)
    split = tiny_tokenizer("鱻")["input_ids"]
    assert len(split) > 1
    first, second = a_text("first", 60, 1, split), a_text("second", 30, 2, split)
    config = RandomSignConfig(
        name="signs", title="Signs", site="here", m=M, k=2, encoding="centred", seed=0, kind="random-sign", family="f"
    )
    entry = PublishedDictionary.of(
        config,
        replace(signed, dead=torch.tensor([number in (0, 5) for number in range(M)])),
        {"curve": []},
        fidelity=Fidelity(fve=0.5, fve_fit=0.6, mse=0.1, l0=2.0),
        load=lambda: signed,
        summary=read(signed, first, 3),
        second=read(signed, second, 4),
    )
    return PublishedSite(
        config=SiteConfig(name="here", model="tiny", corpus="first", layer=1, contexts=60, second_corpus="second"),
        model=ModelConfig(name="tiny", source="tiny"),
        model_hash="m",
        corpus_hash="c",
        text=first,
        statistics=Statistics(np.zeros(D, np.float32), 1.0, 0.5, 2.0),
        keep=KEEP,
        tokens=TokenText(tiny_tokenizer),
        dictionaries=[entry],
        second=second,
    )


@pytest.fixture(scope="module")
def path(published_site: PublishedSite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "features.sqlite"
    publish(path, [published_site], PAGES, 0, {"seed": 0}, Local(1), lambda _: None)
    return path


@pytest.fixture
def store(path: Path) -> Iterator[FeatureStore]:
    store = FeatureStore(path)
    yield store
    store.close()


def test_states_and_figures(store: FeatureStore, published_site: PublishedSite) -> None:
    (dictionary,) = store.dictionaries()
    features = store.features(dictionary.id)
    assert features[3].state == "dead"  # a zero row
    assert features[5].state == "dead"  # marked by its training, and never fired
    assert features[4].state == "never"
    assert features[0].state == "live"  # marked, but it fires
    assert {feature.top_token for feature in features if feature.count == 0} == {""}
    live = features[0]
    summary = published_site.dictionaries[0].summary(0)
    assert live.count == summary.totals.count[0]
    assert live.frequency == live.count / (60 * (LENGTH - 1))
    assert live.min == pytest.approx(float(summary.totals.min[0]))
    assert live.min is not None
    assert live.min < 0 < live.max
    assert set(live.histogram) == {"first", "counts", "below"}
    assert live.second_frequency is not None
    assert live.second_stability is not None
    assert 0 <= live.second_stability <= 1
    assert dictionary.alive == sum(feature.count > 0 for feature in features) / M


def test_both_tails_and_the_second_text(store: FeatureStore, published_site: PublishedSite) -> None:
    (dictionary,) = store.dictionaries()
    summary = published_site.dictionaries[0].summary(0)
    assert published_site.dictionaries[0].second is not None
    there = published_site.dictionaries[0].second(0)
    top, bottom, second = (store.hits(dictionary.id, 0, group) for group in ("top", "bottom", "second"))
    assert len(top) == len(bottom) == len(second) == 5
    assert top[0].value == summary.totals.max[0]
    assert bottom[0].value == summary.totals.min[0]
    assert second[0].value == there.totals.max[0]
    for group, rising in ((top, -1), (bottom, 1), (second, -1)):
        assert [hit.value for hit in group] == sorted((hit.value for hit in group), key=lambda value: rising * -value)[
            ::-1
        ]
        assert all(value * hit.value > 0 for hit in group for value in hit.values)
    contexts = store.contexts(hit.context for hit in (*top, *bottom, *second))
    assert {contexts[hit.context].document.split()[0] for hit in (*top, *bottom)} == {"first"}
    assert {contexts[hit.context].document.split()[0] for hit in second} == {"second"}
    assert len({contexts[hit.context].document_id for hit in top}) == 5
    (site,) = store.sites()
    assert (site.second_corpus, site.second_tokens, site.tokens) == ("second", 30 * LENGTH, 60 * LENGTH)
    assert len(store.pool(site.id)) == 4


def test_activations_stand_where_the_text_of_joined_tokens_does(store: FeatureStore) -> None:
    """What is empty has been joined to what stands before."""
    (dictionary,) = store.dictionaries()
    seen = joined = 0
    for feature in store.features(dictionary.id):
        for group in ("top", "q1", "q5", "bottom"):
            hits = store.hits(dictionary.id, feature.index, group)
            contexts = store.contexts(hit.context for hit in hits)
            for hit in hits:
                assert hit.peak in hit.positions
                assert all(contexts[hit.context].tokens[position] for position in hit.positions)
                assert abs(hit.value) == max(map(abs, hit.values))
                seen += 1
                joined += "" in contexts[hit.context].tokens
    assert seen > 60
    assert joined > 10


def test_two_stores_of_the_same_have_one_digest(
    path: Path, store: FeatureStore, published_site: PublishedSite, tmp_path: Path
) -> None:
    again = tmp_path / "again.sqlite"
    publish(again, [published_site], PAGES, 0, {"seed": 0}, Local(1), lambda _: None)
    other = FeatureStore(again)
    assert other.digest() == other.stated_digest == store.digest()
    assert searched(again) == searched(path)
    other.close()


def test_the_features_of_a_context_are_those_that_have_a_hit_in_it(path: Path, store: FeatureStore) -> None:
    (dictionary,) = store.dictionaries()
    hits = set()
    for feature in store.features(dictionary.id):
        for group in GROUPS:
            for hit in store.hits(dictionary.id, feature.index, group):
                hits.add((hit.context, feature.index, hit.peak, round(abs(hit.value), 4)))
    largest = {index: max(value for _, other, _, value in hits if other == index) for _, index, _, _ in hits}
    expected = sorted(
        (context, index, peak, max(round(value / largest[index] * 255), 1)) for context, index, peak, value in hits
    )
    found = [
        (context, *(int(column[place]) for column in columns))
        for _, context, blob in searched(path)["context_feature"]
        for columns in [unpack_postings(blob, 2)]
        for place in range(len(columns[0]))
    ]
    assert [row[:3] for row in sorted(found)] == [row[:3] for row in expected]
    assert all(abs(one[3] - other[3]) <= 1 for one, other in zip(sorted(found), expected, strict=True))


def test_contexts_are_found_by_their_words(path: Path, store: FeatureStore) -> None:
    (site,) = store.sites()
    connection = sqlite3.connect(path)
    for context in store.pool(site.id):
        words = [word for word in plain("".join(context.tokens)).split() if word.isascii() and word.isalpha()]
        query = match_query(f'"{words[0]}"')
        found = connection.execute("SELECT rowid FROM context_text WHERE context_text MATCH ?", (query,)).fetchall()
        assert (context.id,) in found
    connection.close()


def test_bytes_are_counted(path: Path, store: FeatureStore) -> None:
    found = hit_bytes(path, top=5, quantiles=10)
    (dictionary,) = store.dictionaries()
    full = [
        feature.index
        for feature in store.features(dictionary.id)
        if len(store.hits(dictionary.id, feature.index, "top")) == 5
        and sum(len(store.hits(dictionary.id, feature.index, group)) for group in ("q1", "q2", "q3", "q4", "q5")) == 10
    ]
    assert (found.features, found.full_features) == (M, len(full))
    assert 0 < found.full_hits <= found.hits < path.stat().st_size
    assert found.each_full > found.each > 0


def test_a_full_disk_leaves_the_old_store(path: Path, published_site: PublishedSite, tmp_path: Path) -> None:
    target = tmp_path / "features.sqlite"
    target.write_bytes(b"old")
    broken = replace(published_site, dictionaries=published_site.dictionaries * 2)  # one id twice
    with pytest.raises(UserError, match="nothing was replaced"):
        publish(target, [broken], PAGES, 0, {}, Local(1), lambda _: None)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
