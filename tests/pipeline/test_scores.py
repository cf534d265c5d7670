"""Machine scores of features whose truth is known, against slower reckonings of the same, and of random contexts."""

import numpy as np
import pytest
from scipy.stats import entropy as nats
from sklearn.metrics import roc_auc_score

from pipeline.scores.hits import BlockHits
from pipeline.scores.kernels import bags
from pipeline.scores.meaning import asked, meaning_scores
from pipeline.scores.peaks import null_slope, peak_scores, stability
from pipeline.scores.text import SiteText
from pipeline.scores.words import word_scores
from tests.pipeline.scored import CONTEXTS, LENGTH, a_text, block, feature, hits_where


@pytest.fixture(scope="module")
def text() -> SiteText:
    return a_text()


@pytest.fixture(scope="module")
def hits(text: SiteText) -> BlockHits:
    """A feature of one word, one of all words of a topic, one of nothing, and many more of nothing."""
    random = np.random.default_rng(3)

    def nothing() -> np.ndarray:
        return np.sort(random.choice(np.arange(0, CONTEXTS, 2), 40, replace=False))

    nothings = [feature(nothing(), random.integers(1, LENGTH, 40), random.permutation(40)) for _ in range(60)]
    word, topic = hits_where(text, lambda w: w == " t1.3"), hits_where(text, lambda w: w.startswith(" t2."))
    return block(text, word, topic, *nothings)


def test_peaks_of_one_word_of_many_and_of_none(text: SiteText, hits: BlockHits) -> None:
    found = peak_scores(hits, text)
    assert (found["peak_entropy"][0], found["top_token_share"][0]) == (0, 1)
    for feature_ in range(len(hits)):
        _, members = hits.of_group(0)
        mine = [hit for hit in members.tolist() if hits.feature[hit] == feature_]
        _, counts = np.unique(text.token[hits.context[mine], hits.peak[mine]], return_counts=True)
        assert found["peak_entropy"][feature_] == pytest.approx(nats(counts))
        assert found["top_token_share"][feature_] == counts.max() / len(mine)


def test_words_find_the_word_the_topic_and_nothing(text: SiteText, hits: BlockHits) -> None:
    found = word_scores(hits, text)
    assert found["token_auroc"][0] > 0.98
    assert found["token_auroc"][1] > 0.9
    # Half of all words are of the context's topic: the surroundings tell more than one word does.
    assert found["window_auroc"][1] > 0.98
    assert np.mean(found["token_auroc"][2:]) == pytest.approx(0.5, abs=0.02)
    assert np.mean(found["window_auroc"][2:]) == pytest.approx(0.5, abs=0.02)
    assert found["abstractness"] == pytest.approx(found["window_auroc"] - found["token_auroc"])


def test_the_classifier_is_naive_bayes_on_documents_it_has_not_seen(text: SiteText, hits: BlockHits) -> None:
    against = hits.against(text, 4, "words", np.arange(len(hits.context)))
    weights, reach = (20.0, 2000.0), 5
    found = bags(
        *(text.token, text.share, text.half, hits.start, hits.context, hits.peak),
        *(hits.sampled, against, reach, weights, 5),
    )
    for one in range(4):
        mine = np.arange(hits.start[one], hits.start[one + 1])
        total = np.zeros(2)
        for fold in (0, 1):
            learn = mine[text.half[hits.context[mine]] == fold]
            judge = mine[text.half[hits.context[mine]] != fold]
            places = [(hits.context[hit], hits.peak[hit]) for hit in judge]
            others = [(context, hits.peak[hit]) for hit in judge for context in against[hit] if context >= 0]
            tables = []
            for offsets, weight in zip(([0], [o for o in range(-reach, reach + 1) if o]), weights, strict=True):
                tokens = [t for hit in learn for t in around(text, hits.context[hit], hits.peak[hit], offsets)]
                count = np.bincount(tokens, minlength=len(text.words))
                tables.append((offsets, np.log((count / text.share + weight) / (len(tokens) + weight))))
            for which in range(2):
                scores = [
                    sum(table[around(text, c, p, offsets)].sum() for offsets, table in tables[: which + 1])
                    for c, p in places + others
                ]
                total[which] += len(judge) * roc_auc_score([1] * len(places) + [0] * len(others), np.round(scores, 9))
        assert found[one] == pytest.approx(total / len(mine), abs=1e-6)


def around(text: SiteText, context: int, peak: int, offsets: list[int]) -> list[int]:
    return [int(text.token[context, peak + o]) for o in offsets if 0 <= peak + o < LENGTH]


def test_meaning_finds_the_topic_in_top_contexts_and_intruders(text: SiteText, hits: BlockHits) -> None:
    topics, width = text.document % 4, 32
    random = np.random.default_rng(5)
    vectors = np.eye(4, width)[np.repeat(topics, len(text.starts))] + random.normal(
        0, 0.05, (len(text.id) * len(text.starts), width)
    )
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    wanted = asked(hits, text)
    found = meaning_scores(wanted, lambda windows: vectors[windows])
    # All documents of the topic are known to have it, so that what stands against them has not.
    assert found["embedder_auroc"][1] > 0.98
    assert found["embedder_intruder"][1] > 0.6
    meaningless = random.normal(size=vectors.shape).astype(np.float32)
    meaningless /= np.linalg.norm(meaningless, axis=1, keepdims=True)
    blind = meaning_scores(wanted, lambda windows: meaningless[windows])
    assert np.mean(blind["embedder_auroc"]) == pytest.approx(0.5, abs=0.03)
    assert np.mean(blind["embedder_intruder"]) == pytest.approx(0.2, abs=0.04)
    thirds = [blind[f"embedder_intruder_{third}"] for third in ("top", "middle", "low")]
    assert blind["embedder_intruder"] == pytest.approx(np.mean(thirds, axis=0))


def test_what_stands_against_a_hit_is_matched_in_place_and_of_another_document(text: SiteText, hits: BlockHits) -> None:
    hit = np.arange(len(hits.context))
    against = hits.against(text, 6, "any", hit)
    assert (against >= 0).all()
    assert text.open[against, hits.peak[hit][:, None]].all()
    for one in range(len(hits)):
        mine = hits.feature == one
        assert not set(text.document[against[mine]].ravel()) & set(text.document[hits.context[mine]])


def test_the_null_keeps_everything_but_the_contexts(text: SiteText, hits: BlockHits) -> None:
    null = hits.null(text)
    assert (null.peak == hits.peak).all() and (null.member == hits.member).all() and (null.third == hits.third).all()
    assert text.open[null.context, null.peak].all()
    for one in range(len(hits)):
        mine = null.context[null.feature == one]
        assert len(set(text.document[mine])) == len(mine)
    found = word_scores(null, text)
    assert np.mean(found["token_auroc"]) == pytest.approx(0.5, abs=0.02)
    assert peak_scores(null, text)["top_token_share"][0] < 0.5


def test_draws_depend_on_the_feature_alone(text: SiteText) -> None:
    one, two = hits_where(text, lambda w: w == " t1.3"), hits_where(text, lambda w: w.startswith(" t2."))
    alone, beside = block(text, two, names=[7]), block(text, one, two, names=[3, 7])
    second = slice(int(beside.start[1]), int(beside.start[2]))
    assert (alone.null(text).context == beside.null(text).context[second]).all()
    assert word_scores(alone, text)["token_auroc"][0] == word_scores(beside, text)["token_auroc"][1]
    assert (asked(alone, text).trial[0] == asked(beside, text).trial[1]).all()


def test_stability_and_slope_of_random_contexts_are_those_of_nothing() -> None:
    text = a_text(second=120)
    one = hits_where(text, lambda w: w == " t1.3")
    there = np.arange(CONTEXTS, CONTEXTS + 30, 2)
    whole = type(one)(
        np.r_[one.context, there],
        np.r_[one.peak, np.full(len(there), 9)],
        [*one.groups[:-1], len(one.context) + np.arange(len(there))],
    )
    hits = block(text, whole, one)
    null = hits.null(text)
    assert set(null.context[null.member[null.group == 6]]) <= set(text.second.tolist())
    own, other = stability(hits, text), stability(null, text)
    assert np.isnan(own[1]) and np.isnan(other[1])
    assert 0 <= other[0] < 0.4
    many = block(text, *[one] * 200)
    slopes = null_slope(many.null(text), text, np.full(200, 75))
    assert abs(np.mean(slopes)) < 3 * np.std(slopes) / 200**0.5 + 1e-9


def test_too_few_contexts_give_no_score(text: SiteText) -> None:
    few = hits_where(text, lambda w: w == " t1.3", wanted=3)
    none = feature(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
    hits = block(text, few, none)
    words, meaning = (
        word_scores(hits, text),
        meaning_scores(asked(hits, text), lambda w: np.ones((*w.shape, 4), np.float32)),
    )
    for found in (words["token_auroc"], words["abstractness"], meaning["embedder_auroc"], meaning["embedder_intruder"]):
        assert np.isnan(found).all()
    assert np.isnan(peak_scores(hits, text)["peak_entropy"]).tolist() == [False, True]


def test_windows_cover_a_context_and_hold_their_peak_in_the_middle(text: SiteText) -> None:
    peak = np.arange(LENGTH)
    window = text.window(np.full(LENGTH, 3), peak)
    starts = text.starts[window - 3 * len(text.starts)]
    assert ((starts <= peak) & (peak < starts + 32)).all()
    assert (np.abs(starts + 16 - peak)[8:-8] <= 8).all()
    assert text.read([3 * len(text.starts)])[0] == "".join(text.words[t] for t in text.token[3, :32])
