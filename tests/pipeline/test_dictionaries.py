from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.dictionaries import Dictionary
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


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    made = dictionary()
    path = tmp_path / "d.safetensors"
    made.save(path)
    again = Dictionary.load(path)
    assert again.hash() == made.hash()
    assert made.hash() != dictionary(k=6).hash()
