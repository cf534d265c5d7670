"""Parts on disk: which shards are left, what an interrupted write counts for, and the merged summary of a block."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from app.errors import UserError
from pipeline import hits, passes
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.rules import Rule
from pipeline.engines.local import Local
from pipeline.hits import Accumulator, Keep, Summary
from pipeline.passes import Parts, merge_parts
from pipeline.sample import SHARD_CONTEXTS, Layout, Mask
from pipeline.streaming import DictionaryPart, FromDisk, Pass, Shard, SitePart, Streamed, StreamedSite, stream
from tests.pipeline.test_hits import same

M = 600  # more than a block
KEEP = Keep(top=8, sample=6, seed=2, unit=2.0**-20)
SHARDS = 12


def shard_part(shard: int, each: int = 40) -> tuple[SitePart, ...]:
    """One site with one dictionary, of which `each` features fire once on every context."""
    random = np.random.default_rng(shard)
    context = np.arange(shard * SHARD_CONTEXTS, (shard + 1) * SHARD_CONTEXTS)
    feature = np.sort(np.stack([random.choice(M, each, replace=False) for _ in context]), axis=1).astype(np.int32)
    value = random.integers(1, 9, feature.size).astype(np.float32)
    start = torch.arange(0, feature.size + 1, each)
    accumulator = Accumulator(M, KEEP, False)
    codes = Codes(start, torch.from_numpy(feature.reshape(-1)), torch.from_numpy(value))
    accumulator.absorb(codes, context, context * 0, np.arange(SHARDS * SHARD_CONTEXTS, dtype=np.int32))
    moment = np.full((M, 2), shard, np.int64) if shard < 2 else None
    allowed = {shard: np.ones((SHARD_CONTEXTS, 4), bool)}
    one = DictionaryPart(accumulator.summary(), moment, (shard, 2 * shard), {}, {shard: codes})
    return (SitePart(allowed, {"special": shard}, (one,)),)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "pass", Layout(SHARDS * SHARD_CONTEXTS))


def whole() -> Summary:
    return hits.merge([shard_part(shard)[0].dictionaries[0].summary for shard in range(SHARDS)], KEEP)


@pytest.mark.parametrize("rule", ["topk", "relu"])
def test_products_that_no_float_holds_are_a_sentence(rule: Rule) -> None:
    large = Dictionary("file", rule, torch.full((8, 4), 3e38), torch.zeros(8), None, torch.zeros(4), k=2)
    site = StreamedSite(
        "here", 3, Mask(frozenset(), np.inf), torch.zeros(4), 1.0, (Streamed(large, KEEP, None, "large"),)
    )
    none = frozenset[int]()
    job = Pass(FromDisk(Path("none")), (site,), "float32", np.zeros(2, np.int32), np.zeros(2, bool), none, none)
    shard = Shard(0, 0, np.zeros((2, 8), np.int32), {3: torch.full((16, 4), 1e3)})
    with pytest.raises(UserError, match="dictionary 'large' gives NaN or infinite values at layer 3"):
        stream(Local(1).share(job), (shard,))


def test_what_no_part_covers_is_left(parts: Parts) -> None:
    assert parts.left(4) == [range(0, 3), range(3, 6), range(6, 9), range(9, 12)]
    assert parts.left(5) == [range(0, 3), range(3, 6), range(6, 9), range(9, 12)]
    assert len(parts.left(100)) == SHARDS
    merged = merge_parts([[KEEP]], [shard_part(4), shard_part(1), shard_part(2)])
    parts.write([4, 1, 2], [(["d"], merged[0])])
    assert parts.left(4) == [range(0, 1), range(3, 4), range(5, 8), range(8, 11), range(11, 12)]
    (parts.folder / "0000000.d.hits").write_bytes(b"a write that was interrupted")
    assert parts.left(4)[0] == range(0, 1)
    for chunk in parts.left(1):
        parts.write(chunk, [(["d"], merge_parts([[KEEP]], [shard_part(shard) for shard in chunk])[0])])
    assert parts.left() == []
    allowed, masked = parts.masks(0, (SHARDS * SHARD_CONTEXTS, 4))
    assert allowed.all()
    assert masked == {"special": sum(range(SHARDS))}
    assert sum(moment[0, 0] for moment, _ in parts.sums("d") if moment is not None) == 1
    scales = [scale for _, scale in parts.sums("d") if scale is not None]
    assert (sum(above for above, _ in scales), sum(below for _, below in scales)) == (66, 132)
    assert len(list(parts.codes("d", "codes", range(SHARDS)))) == SHARDS


@pytest.mark.parametrize("held", [0, 2**19])
def test_blocks_of_parts_in_any_grouping_are_the_whole(
    held: int, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "HELD", held)
    for some in ([7, 3], [0, 1, 2, 4, 5, 6], [8], [11, 9, 10]):
        parts.write(some, [(["d"], merge_parts([[KEEP]], [shard_part(shard) for shard in some])[0])])
    for block, expected in enumerate(whole().cut(512)):
        assert same(parts.summary("d", KEEP, block), expected)


def test_a_block_of_many_parts_takes_no_more_memory_than_of_some(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "HELD", 10_000)
    peaks = []
    for shard in range(SHARDS):
        parts.write([shard], [(["d"], shard_part(shard, 300)[0])])
        if shard in (SHARDS // 2 - 1, SHARDS - 1):
            tracemalloc.start()
            parts.summary("d", KEEP, 0)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
