"""Partners against sets of tokens, counted one by one."""

import numpy as np
import pytest
import torch

from pipeline import cofiring
from pipeline.cofiring import LEAST, firing, partners
from pipeline.dictionaries import Codes


def drawn(tokens: int, m: int, seed: int, signed: bool = False) -> Codes:
    """Codes in which a few features fire often and the rest seldom, so that strengths tie."""
    random = np.random.default_rng(seed)
    dense = random.random((tokens, m)) < np.linspace(0.6, 0.01, m)
    values = torch.from_numpy(np.where(dense, random.uniform(0.5, 2, dense.shape), 0).astype(np.float32))
    if signed:
        values *= torch.from_numpy(random.choice([-1.0, 1.0], dense.shape).astype(np.float32))
    return Codes.of_top(torch.arange(m).expand(tokens, m), values)


def tokens_of(codes: Codes, m: int) -> list[set[int]]:
    owner, index = codes.owners().tolist(), codes.index.tolist()
    return [{token for token, feature in zip(owner, index, strict=True) if feature == one} for one in range(m)]


def expected(own: list[set[int]], other: list[set[int]], n: int, itself: bool) -> list[list[tuple[int, float]]]:
    found = []
    for a, tokens in enumerate(own):
        ranked = [
            (-len(tokens & others) / len(tokens | others), b)
            for b, others in enumerate(other)
            if len(tokens & others) >= LEAST and (itself or a != b)
        ]
        found.append([(b, -strength) for strength, b in sorted(ranked)[:n]])
    return found


@pytest.mark.parametrize("pairs", [2**23, 100])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("within", [False, True])
def test_partners_are_those_that_share_most(
    pairs: int, signed: bool, within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cofiring, "PAIRS", pairs)
    a, b = drawn(60, 17, 0, signed), drawn(60, 23, 1, signed)
    own, other = tokens_of(a, 17), tokens_of(b, 23)
    if within:
        found, whole = partners(firing(a, 17), None, "a", 4), expected(own, own, 4, itself=False)
    else:
        found, whole = partners(firing(a, 17), firing(b, 23), "b", 4), expected(own, other, 4, itself=True)
    for row, (features, strengths) in enumerate(zip(found.feature.tolist(), found.value.tolist(), strict=True)):
        listed = [(f, s) for f, s in zip(features, strengths, strict=True) if f >= 0]
        assert [f for f, _ in listed] == [f for f, _ in whole[row]]
        assert [s for _, s in listed] == pytest.approx([s for _, s in whole[row]])
        assert all(f == -1 for f in features[len(listed) :])
    assert any(len(row) < 4 for row in whole)
    assert any(len(row) == 4 for row in whole)


def test_codes_of_other_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="60 tokens"):
        partners(firing(drawn(60, 3, 0), 3), firing(drawn(59, 3, 0), 3), "b", 4)


def test_features_that_never_fire_have_no_partner() -> None:
    none = Codes.of_top(torch.zeros(9, 1, dtype=torch.int32), torch.zeros(9, 1))
    assert (partners(firing(none, 5), None, "a", 2).feature == -1).all()
