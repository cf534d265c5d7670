"""Every activation rule, in blocks and ragged, equals the rule written out densely in numpy: any sizes, ties, precision."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.dictionary import BLOCK
from pipeline.dictionaries.normalisation import normalise, undo
from pipeline.dictionaries.rules import Cut, above_of_torch
from tests.pipeline.format_rules import Array, jump, relu, top

D = 6
RULES = ["topk", "topk signed", "absolute-topk", "groupmax", "batch-topk", "relu", "jumprelu", "gated"]


def made(name: str, m: int, k: int, seed: int, whole: bool = False, **changes: Any) -> Dictionary:
    """Random; `whole`: small whole numbers, so that products are exact and ties abound."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> torch.Tensor:
        numbers = generator.integers(-2, 3, shape) if whole else generator.standard_normal(shape)
        return torch.from_numpy(numbers.astype(np.float32))

    extra: dict[str, Any] = {}
    if name in ("jumprelu", "gated"):
        extra = {"threshold": draw(m)} if name == "jumprelu" else {"b_gate": draw(m), "r_mag": draw(m) * 0}
    elif name == "batch-topk":
        extra = {"threshold": draw(1)[0]}
    elif name == "topk signed":
        extra = {"postact": "identity"}
    rule: Any = name.removesuffix(" signed")
    parts = draw(m, D), draw(m), None, draw(D)
    decoder = changes.pop("decoder", None)
    return Dictionary("gaussian", rule, parts[0], parts[1], decoder, parts[3], k=k, **{**extra, **changes})


def by_rule(one: Dictionary, x: Array) -> Array:
    """The dense codes of `x[token, d]`, in float64."""
    encoder, b_enc = one.encoder.double().numpy(), one.b_enc.double().numpy()
    product = (x - one.b_dec.double().numpy() if one.centred else x) @ encoder.T
    pre, k = product + b_enc, one.k or 0
    if one.rule == "topk":
        return relu(top(pre, k)) if one.postact == "relu" else top(pre, k)
    if one.rule == "absolute-topk":
        return top(pre, k, np.abs(pre))
    if one.rule == "groupmax":
        groups = pre.reshape(len(pre), k, pre.shape[1] // k)
        first = np.arange(groups.shape[2]) == groups.argmax(2)[:, :, None]
        return relu((groups * first).reshape(pre.shape))
    if one.rule == "relu":
        return relu(pre)
    if one.threshold is not None:
        return jump(pre, one.threshold.double().numpy())
    assert one.b_gate is not None
    assert one.r_mag is not None
    return (product + one.b_gate.double().numpy() > 0) * relu(product * np.exp(one.r_mag.double().numpy()) + b_enc)


def check(codes: Codes, m: int) -> Array:
    """The invariants of codes, and the codes densely."""
    assert (codes.start.dtype, codes.index.dtype, codes.value.dtype) == (torch.int64, torch.int32, torch.float32)
    assert int(codes.start[0]) == 0
    assert int(codes.start[-1]) == len(codes.index) == len(codes.value)
    assert bool((codes.value != 0).all())
    pairs = codes.owners() * m + codes.index
    assert len(pairs.unique()) == len(pairs)
    return np.asarray(codes.csr(m).toarray(), np.float64)


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25, deadline=None)
@given(
    tokens=st.sampled_from([0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3]),
    groups=st.integers(1, 9),
    k=st.integers(1, 12),
    centred=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_are_the_rule_with_ties_to_the_lower_index(
    name: str, tokens: int, groups: int, k: int, centred: bool, seed: int
) -> None:
    one = made(name, m=k * groups, k=k, seed=seed, whole=True, centred=centred)
    x = np.random.default_rng(seed).integers(-2, 3, (tokens, D)).astype(np.float64)
    codes = one.encode(torch.from_numpy(x).float())
    assert len(codes) == tokens
    np.testing.assert_array_equal(check(codes, one.m), by_rule(one, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_other_devices_do_finds_the_same_survivors(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(1)
    pre, limit = torch.randn(70, 300, generator=draw).to(dtype), torch.rand(300, generator=draw)
    cut = Cut(len(pre), limit)
    cut.add(pre, slice(0, len(pre)))
    counts, index, value = above_of_torch(pre, limit)
    found = cut.codes()
    assert torch.equal(found.start.diff(), counts)
    assert torch.equal(found.index, index)
    assert torch.equal(found.value, value)


@pytest.mark.parametrize("name", RULES)
def test_the_fast_mode_is_the_same_rule_of_rounded_operands(name: str) -> None:
    one = made(name, m=300, k=10, seed=5, whole=True)
    x = torch.from_numpy(np.random.default_rng(6).integers(-2, 3, (BLOCK + 9, D))).float()
    # small whole numbers are exact in bfloat16, so that nothing is lost here
    np.testing.assert_array_equal(check(one.encode(x, "bfloat16"), 300), check(one.encode(x), 300))
    real = made("topk", m=300, k=10, seed=7)
    noise = torch.randn(BLOCK, D, generator=torch.Generator().manual_seed(1))
    fast, exact = check(real.encode(noise, "bfloat16"), 300), check(real.encode(noise), 300)
    assert np.abs(fast - exact).max() > 0
    assert ((fast != 0) & (exact != 0)).sum() > 0.95 * (exact != 0).sum()


def test_more_survivors_than_room_was_made_for_are_all_kept() -> None:
    one = made("relu", m=130, k=1, seed=8)
    one.b_enc.fill_(1e3)
    codes = one.encode(torch.zeros(BLOCK, D))
    assert len(codes.index) == BLOCK * 130


@pytest.mark.parametrize("how", ["none", "constant-norm", "layer-norm"])
def test_a_normalisation_is_undone(how: Any) -> None:
    x = torch.randn(20, D, generator=torch.Generator().manual_seed(2)) * 5 + 3
    torch.testing.assert_close(undo(normalise(x, how), x, how), x, atol=1e-3, rtol=1e-4)
    assert bool(torch.isfinite(normalise(torch.zeros(1, D), how)).all())


def test_a_dictionary_without_what_its_rule_needs_is_a_mistake_of_the_caller() -> None:
    x = torch.zeros(2, D)
    for name in ("topk", "jumprelu", "gated"):
        bare = Dictionary("gaussian", name, torch.ones(3, D), torch.zeros(3), None, torch.zeros(D))
        with pytest.raises(ValueError, match="lacks"):
            bare.encode(x)
        with pytest.raises(ValueError, match="no decoder"):
            bare.decode(Codes.of_top(torch.zeros(2, 1, dtype=torch.int32), torch.ones(2, 1)))
    normed = made("topk", m=8, k=2, seed=1, normalisation="layer-norm", decoder=torch.ones(8, D))
    with pytest.raises(ValueError, match="from its codes and x"):
        normed.decode(normed.encode(x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", RULES)
def test_on_a_cuda_device_codes_are_the_same_and_come_back(name: str) -> None:
    one = made(name, m=3000, k=10, seed=4, whole=True)
    x = torch.from_numpy(np.random.default_rng(6).integers(-2, 3, (5000, D))).float()
    codes = one.encode(x.cuda())
    assert codes.value.device.type == "cpu"
    np.testing.assert_array_equal(check(codes, one.m), check(one.encode(x), one.m))
