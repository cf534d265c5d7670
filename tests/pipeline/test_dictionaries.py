from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import Coded, fidelity, least_squares, tied
from pipeline.dictionaries.directions import random_sign


def dictionary(m: int = 40, d: int = 16, k: int = 5, centred: bool = True) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    return Dictionary(
        "random-sign",
        "topk",
        random_sign(m, d, 1),
        torch.randn(m, generator=generator) * 0.1,
        None,
        torch.randn(d, generator=generator),
        k=k,
        centred=centred,
    )


def data(tokens: int = 700, d: int = 16) -> torch.Tensor:
    return torch.randn(tokens, d, generator=torch.Generator().manual_seed(2)) * 3 + 1


@pytest.mark.parametrize("centred", [True, False])
def test_encoding_is_the_rule_written_out_in_numpy(centred: bool) -> None:
    made, x = dictionary(centred=centred), data()
    shifted = x.numpy() - made.b_dec.numpy() if centred else x.numpy()
    pre = shifted.astype(np.float64) @ made.encoder.numpy().T.astype(np.float64) + made.b_enc.numpy()
    dense = np.zeros_like(pre)
    for row, values in enumerate(pre):
        chosen = np.argsort(-values)[: made.k]
        dense[row, chosen] = np.maximum(values[chosen], 0)
    codes = made.encode(x)
    np.testing.assert_allclose(codes.csr(made.m).toarray(), dense, atol=1e-5)


def test_random_signs_have_length_one_and_the_inner_products_that_theory_says() -> None:
    n = 1024
    directions = random_sign(n, n, 0)
    assert set(directions.unique().tolist()) == {-(n**-0.5), n**-0.5}
    products = directions.double() @ directions.double().T
    off_diagonal = products[~torch.eye(n, dtype=torch.bool)]
    assert off_diagonal.square().mean().sqrt().item() == pytest.approx(n**-0.5, abs=1e-4)
    assert not torch.equal(directions, random_sign(n, n, 1))


def shards(made: Dictionary, x: torch.Tensor, parts: int = 3) -> list[Coded]:
    result = []
    for piece in x.chunk(parts):
        held_out = torch.zeros(len(piece), dtype=torch.bool)
        held_out[::10] = True
        result.append(Coded(piece, made.encode(piece), held_out))
    return result


def dense(codes: Codes, m: int) -> torch.Tensor:
    return torch.from_numpy(codes.csr(m).toarray())


def test_least_squares_equals_a_dense_solve() -> None:
    made, x = dictionary(), data()
    coded = shards(made, x)
    mean = x.mean(0)
    decoder = least_squares(lambda: coded, made.m, mean)
    fit = [part.part(held_out=False) for part in coded]
    codes = torch.cat([dense(c, made.m) for _, c in fit]).double()
    target = torch.cat([piece for piece, _ in fit]).double() - mean
    expected = torch.linalg.lstsq(codes, target).solution
    assert (codes @ decoder.double() - codes @ expected).norm() / (codes @ expected).norm() < 1e-4


def test_a_feature_that_never_fires_leaves_the_solve_finite() -> None:
    made, x = dictionary(), data()
    made.b_enc[7] = -1e6
    decoder = least_squares(lambda: shards(made, x), made.m, x.mean(0))
    assert torch.isfinite(decoder).all()
    assert decoder[7].abs().max() < 1e-3


def test_the_tied_decoder_has_the_best_scale() -> None:
    made, x = dictionary(), data()
    coded, mean = shards(made, x), x.mean(0)
    best = tied(lambda: coded, made.encoder, mean)
    scale = float(best[0, 0] / made.encoder[0, 0])

    def error(factor: float) -> float:
        total = 0.0
        for part in coded:
            piece, codes = part.part(held_out=False)
            total += float((piece - mean - factor * dense(codes, made.m) @ made.encoder).square().sum())
        return total

    assert error(scale) < min(error(scale * 1.01), error(scale * 0.99))


def test_fidelity_is_the_dense_formula() -> None:
    made, x = dictionary(), data()
    coded, mean = shards(made, x), x.mean(0)
    decoder = least_squares(lambda: coded, made.m, mean)
    fitted = Dictionary(made.kind, "topk", made.encoder, made.b_enc, decoder, mean, k=made.k)
    result = fidelity(lambda: coded, fitted, mean)
    for held_out, reported in ((True, result.fve), (False, result.fve_fit)):
        pieces = [part.part(held_out) for part in coded]
        target = torch.cat([piece for piece, _ in pieces])
        made_of = torch.cat([dense(codes, made.m) for _, codes in pieces]) @ decoder + mean
        expected = 1 - (target - made_of).square().sum() / (target - mean).square().sum()
        assert reported == pytest.approx(float(expected), abs=1e-5)
    firing = sum(int((dense(part.codes, made.m) > 0).sum()) for part in coded)
    assert result.l0 == pytest.approx(firing / len(x))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    made = dictionary()
    path = tmp_path / "d.safetensors"
    made.save(path)
    again = Dictionary.load(path)
    assert again.hash() == made.hash()
    assert made.hash() != dictionary(k=6).hash()
