"""Intruder trials: what they show, and that whoever sees lengths and highlights alone finds the intruder by chance."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import UserError
from app.freeze import prepare
from app.store.features import FeatureStore
from app.study.blinding import keyed
from app.study.content import Block, PoolContext, Snippet
from app.study.frozen import FrozenItem, FrozenStudy
from app.study.intruders import PIECES, Piece, Pool, draw_hits, null_trial, piece, thirds, trial
from app.study.protocol import Protocol
from tests.studies import counted_tokens

DESIGN = {
    "name": "small",
    "title": "Which is clearer?",
    "seed": 11,
    "arm": [
        {"name": "trained", "dictionaries": ["topk-sae"]},
        {"name": "untrained", "dictionaries": ["random-sign"]},
        {"name": "null-pages", "control": "null"},
    ],
    "layout": {"contexts": 3, "width": 24},
    "tasks": {"intruder": {"features": 40, "width": 24}},
}


@pytest.fixture(scope="module")
def frozen(features: FeatureStore) -> FrozenStudy:
    return prepare(Protocol.model_validate(DESIGN), features, counted_tokens())


def snippets(item: FrozenItem) -> tuple[Snippet, ...]:
    [block] = item.pages["a"].blocks
    assert block.label == ""
    return block.snippets


def test_every_feature_gives_six_trials_two_of_each_third(frozen: FrozenStudy) -> None:
    assert Counter(item.key[0].arm for item in frozen.items) == dict.fromkeys(
        ["trained", "untrained", "null-pages"], 240
    )
    per = defaultdict(Counter)
    for item in frozen.items:
        row = item.key[0]
        per[row.dictionary, row.feature, row.stratum.get("copies")][row.stratum["third"]] += 1
    assert len(per) == 120
    assert all(counts == {"top": 2, "middle": 2, "low": 2} for counts in per.values())
    assert all(item.expected is None for item in frozen.items), "what is right stands in the key alone"


def test_four_pieces_are_the_features_and_one_is_of_a_document_where_it_is_not_known_to_fire(
    frozen: FrozenStudy, features: FeatureStore
) -> None:
    for item in frozen.items[:60]:
        row = item.key[0]
        if row.dictionary is None:
            continue
        dictionary = features.dictionary(row.dictionary)
        own, documents = set(), set()
        for group in ("q1", "q2", "q3", "q4", "q5"):
            hits = features.hits(dictionary.id, row.feature, group)
            contexts = features.contexts(hit.context for hit in hits)
            for hit in hits:
                context = contexts[hit.context]
                documents.add(context.document_id)
                own.add((*piece(context.tokens, hit.peak, 24).tokens, hit.peak >= 0))
        shown = [(*one.tokens, True) in own for one in snippets(item)]
        assert [place for place, is_own in enumerate(shown, 1) if not is_own] == [row.stratum["intruder"]]


def test_pieces_have_one_equal_highlight_and_no_piece_comes_twice(frozen: FrozenStudy) -> None:
    seen = defaultdict(list)
    for item in frozen.items:
        shown = snippets(item)
        assert len(shown) == PIECES
        for one in shown:
            assert len(one.tokens) == len(one.levels) == 24
            assert [place for place, level in enumerate(one.levels) if level] == [one.peak]
            assert one.levels[one.peak] == 4
            assert one.tokens[one.peak]
        assert len({one.tokens for one in shown}) == PIECES
        row = item.key[0]
        own = [one.tokens for place, one in enumerate(shown, 1) if place != row.stratum["intruder"]]
        if row.dictionary:
            seen[row.dictionary, row.feature] += own
    assert all(len(set(pieces)) == len(pieces) == 24 for pieces in seen.values())


def test_the_intruders_place_is_drawn_by_lot(frozen: FrozenStudy) -> None:
    counts = Counter(item.key[0].stratum["intruder"] for item in frozen.items)
    expected = len(frozen.items) / PIECES
    chi_square = sum((counts[place] - expected) ** 2 / expected for place in range(1, PIECES + 1))
    assert chi_square < 18.5, "four degrees of freedom: one study in a thousand exceeds this"


def looks(item: FrozenItem) -> NDArray[np.float64]:
    """What eyes that cannot read see of each piece: `[piece, figure]`, each figure also as its distance to the rest."""
    rows = []
    for one in snippets(item):
        before = sum(len(token) for token in one.tokens[: one.peak])
        outlined = len(one.tokens[one.peak])
        whole = sum(len(token) for token in one.tokens)
        rows.append([whole, before, outlined, one.peak, one.tokens[one.peak].startswith(" "), one.tokens.count("")])
    figures = np.array(rows, float)
    gaps = np.abs(figures[:, None] - figures[None])
    others = np.where(np.eye(PIECES, dtype=bool)[:, :, None], np.inf, gaps)
    return np.concatenate([figures, gaps.sum(1), others.min(1)], axis=1)


def solved(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Share of trials found by the highest score `[trial, piece]`; of equals by the share of them that are right."""
    best = scores == scores.max(1, keepdims=True)
    return float((best[np.arange(len(truth)), truth] / best.sum(1)).mean())


def fitted(x: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of a conditional logit (McFadden 1974), by gradient ascent with a small ridge: `x[trial, piece, figure]`."""
    weights = np.zeros(x.shape[2])
    for _ in range(400):
        odds = np.exp(x @ weights - (x @ weights).max(1, keepdims=True))
        chance = odds / odds.sum(1, keepdims=True)
        gradient = (x[np.arange(len(truth)), truth] - (chance[:, :, None] * x).sum(1)).mean(0) - 0.01 * weights
        weights += 0.5 * gradient
    return weights


def test_a_solver_that_sees_only_lengths_and_highlights_scores_chance(frozen: FrozenStudy) -> None:
    x = np.array([looks(item) for item in frozen.items])
    truth = np.array([item.key[0].stratum["intruder"] - 1 for item in frozen.items])
    margin = 3.3 * math.sqrt(0.2 * 0.8 / len(truth))
    for figure in range(x.shape[2]):
        for sign in (1, -1):
            assert abs(solved(sign * x[:, :, figure], truth) - 1 / PIECES) < margin, f"figure {figure}, sign {sign}"
    z = (x - x.mean((0, 1))) / (x.std((0, 1)) + 1e-9)
    fold = np.arange(len(truth)) % 5
    scores = np.zeros((*truth.shape, PIECES))
    for part in range(5):
        scores[fold == part] = z[fold == part] @ fitted(z[fold != part], truth[fold != part])
    assert abs(solved(scores, truth) - 1 / PIECES) < margin


def test_that_solver_finds_an_intruder_that_copies_one_of_the_four(frozen: FrozenStudy) -> None:
    """The naive way to match lengths, which the solver must be able to tell: two pieces then look alike."""
    x = np.array([looks(item) for item in frozen.items])
    truth = np.array([item.key[0].stratum["intruder"] - 1 for item in frozen.items])
    copied = x[:, :, :6].copy()
    rows = np.arange(len(truth))
    copied[rows, truth] = copied[rows, (truth + 1) % PIECES]
    gaps = np.abs(copied[:, :, None, 0] - copied[:, None, :, 0]) + np.where(np.eye(PIECES, dtype=bool), np.inf, 0)
    assert solved(-gaps.min(2), truth) > 0.4


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 2))
def test_drawn_hits_are_of_different_documents_and_shown_once(documents: list[int], trials: int) -> None:
    hits = list(enumerate(documents))
    drawn = draw_hits(hits, trials, lambda hit: hit[1], lambda hit: keyed(0, hit[0]))
    if not drawn:
        counts = Counter(documents)
        assert len(counts) < PIECES or sum(min(trials, n) for n in counts.values()) < trials * PIECES
        return
    assert len(drawn) == trials
    for trial_hits in drawn:
        assert len({document for _, document in trial_hits}) == PIECES
    shown = [hit for trial_hits in drawn for hit in trial_hits[:-1]]
    assert len(set(shown)) == len(shown)


def test_thirds_are_cut_by_rank() -> None:
    fifths = [[f"{fifth}{place}" for place in range(5)] for fifth in range(5)]
    assert thirds(fifths) == {
        "top": [*fifths[0], "10", "11", "12"],
        "middle": ["13", "14", *fifths[2], "30", "31"],
        "low": ["32", "33", "34", *fifths[4]],
    }


def some_pool() -> Pool:
    return Pool([PoolContext(number, [" a", " bb", "ccc", " dd", "e"] * 4, [0]) for number in range(6)])


def test_an_intruder_looks_like_the_piece_that_it_replaces() -> None:
    wanted = Piece((" xx", "yyy", " zz", "v", " u"), 2)
    found = some_pool().like(wanted, {0, 1, 2}, {"bb"}, 7, ["one"])
    assert found is not None
    like, document = found
    assert document in {3, 4, 5}
    assert like == Piece((" bb", "ccc", " dd", "e", " a"), 2), "not on the word that is taken, and as long to each side"
    assert some_pool().like(wanted, set(range(6)), set(), 7, ["one"]) is None


def test_a_pool_of_the_features_own_documents_gives_no_trial() -> None:
    pieces = [Piece((" a", " bb", "ccc"), 1)] * PIECES
    assert trial(pieces, set(range(6)), some_pool(), 7, ["x"]) is None
    assert null_trial(pieces, {0, 1}, some_pool(), 7, ["x"]) is None, "five pieces need five documents"
    made = null_trial(pieces, set(), some_pool(), 7, ["x"])
    assert made is not None
    assert isinstance(made.page.blocks[0], Block)


def test_features_that_cannot_give_the_trials_are_not_drawn(features: FeatureStore) -> None:
    design = {**DESIGN, "arm": DESIGN["arm"][:1], "tasks": {"intruder": {"features": 5000, "width": 24}}}
    with pytest.raises(UserError, match=r"needs 5000 features of topk-sae, but only \d+ can"):
        prepare(Protocol.model_validate(design), features)
