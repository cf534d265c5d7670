"""Items whose answer is known: planted words, instructed pages; and pages that show a second text."""

import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from app.errors import UserError
from app.freeze import prepare
from app.store.features import FeatureStore
from app.store.packing import GROUPS, HEAD
from app.study.content import Page, PoolContext
from app.study.frozen import FrozenItem, FrozenStudy
from app.study.intruders import plain
from app.study.planted import Words, block_level, instructed_page, mark, planted_page
from app.study.protocol import Protocol
from tests.studies import counted_tokens

DESIGN = {
    "name": "small",
    "title": "Which is clearer?",
    "seed": 3,
    "arm": [
        {"name": "trained", "dictionaries": ["topk-sae"]},
        {"name": "null-pages", "control": "null"},
        {"name": "one-word", "control": "planted"},
    ],
    "layout": {"contexts": 3, "width": 24},
    "tasks": {
        "page": {"features": 2},
        "pair": {"pairs": 10, "contrasts": [["trained", "other"]]},
        "intruder": {"features": 1, "width": 24},
    },
    "catch": {"planted": 2, "instructed": 3},
    "practice": {"pages": 2, "intruders": 1},
    "guess": {"pages": 5},
}


def design(**changes) -> Protocol:
    arms = [*DESIGN["arm"], {"name": "other", "dictionaries": ["random-sign"]}]
    return Protocol.model_validate({**DESIGN, "arm": arms, **changes})


@pytest.fixture(scope="module")
def frozen(features: FeatureStore) -> FrozenStudy:
    return prepare(design(), features, counted_tokens())


def items(frozen: FrozenStudy, purpose: str, task: str) -> list[FrozenItem]:
    return [item for item in frozen.items if (item.purpose, item.task) == (purpose, task)]


def marked(page: Page) -> set[str]:
    return {
        token
        for block in page.blocks
        for snippet in block.snippets
        for token, level in zip(snippet.tokens, snippet.levels, strict=True)
        if level
    }


def test_each_purpose_has_the_items_asked_for(frozen: FrozenStudy) -> None:
    assert Counter((item.purpose, item.task) for item in frozen.items) == {
        ("main", "page"): 8,
        ("main", "pair"): 10,
        ("main", "intruder"): 24,
        ("guess", "page"): 20,
        ("catch", "page"): 5,
        ("practice", "page"): 2,
        ("practice", "intruder"): 1,
    }
    assert sum(frozen.report["items"].values()) == len(frozen.items)
    guessed = Counter(item.key[0].arm for item in items(frozen, "guess", "page"))
    assert set(guessed.values()) == {5}
    assert len(guessed) == 4


def test_one_word_is_marked_wherever_it_stands_and_no_word_serves_twice(frozen: FrozenStudy) -> None:
    planted = [
        (item.pages[row.page], row) for item in frozen.items for row in item.key if "planted" in (row.stratum or {})
    ]
    words = set()
    for page, row in planted:
        word = row.stratum["planted"]
        assert (row.dictionary, row.feature) == (None, None)
        if "third" not in row.stratum:
            assert marked(page) == {word}
            assert [{s.levels[s.peak] for s in block.snippets} for block in page.blocks] == [{4}, {2}, {1}]
            words.add(word)
        else:
            peaks = [snippet.tokens[snippet.peak] for snippet in page.blocks[0].snippets]
            assert [place for place, peak in enumerate(peaks, 1) if peak != word] == [row.stratum["intruder"]]
            assert plain(peaks[row.stratum["intruder"] - 1]) != plain(word)
            words.add(word)
    pages = 2 + 5 + 2 + 2  # of the arm: solo, guessed; catch; practice
    assert len(words) == pages + 2 * 1, "and two sets of trials: the arm's and practice"


def test_right_answers_stand_on_practice_and_catch_items_alone_and_name_no_arm(frozen: FrozenStudy) -> None:
    for item in frozen.items:
        if item.purpose in ("main", "guess"):
            assert item.expected is None
            continue
        [row] = item.key
        assert row.arm == item.purpose
        assert item.expected is not None
        assert not {"trained", "one-word", "null-pages", "other"} & set(str(item.expected).split())
        if item.task == "intruder":
            assert item.expected["pick"] == row.stratum["intruder"]
            assert f"“{row.stratum['planted'].strip()}”" in item.expected["feedback"]
        elif "instructed" in row.stratum:
            score = item.expected["lowest"]
            assert item.expected == {"lowest": score, "highest": score}
            for block in item.pages["a"].blocks:
                for snippet in block.snippets:
                    lit = [t for t, level in zip(snippet.tokens, snippet.levels, strict=True) if level]
                    assert "".join(lit) == f" Rate this page with {score}"
                    assert len(snippet.tokens) == 24
        else:
            assert (item.expected["lowest"], item.expected["highest"]) == (4, 5)


def test_a_study_needs_words_enough(features: FeatureStore) -> None:
    with pytest.raises(UserError, match=r"needs \d+ words to plant, but in the store's pool of 160 contexts only \d+"):
        prepare(
            design(tasks={"page": {"features": 500}}, practice={}, arm=[DESIGN["arm"][2], DESIGN["arm"][0]]), features
        )


def test_a_word_is_found_once_a_document_and_not_where_nothing_may_fire() -> None:
    pool = [
        PoolContext(0, [" tea", " tea", "5", " a"], [0]),
        PoolContext(0, [" tea", "-", "", "Tea"], []),
        PoolContext(1, ["x", " tea", " tea", ""], []),
    ]
    words = Words.of(pool, 0)
    assert {token: len(found) for token, found in words.found.items()} == {" tea": 2, "Tea": 1}
    assert words.plantable(2, 0) == [" tea"]
    assert all(pool[one.place].tokens[one.position] == " tea" for one in words.found[" tea"])
    assert mark(pool[0], 1, 3, 3).levels == (0, 3, 0), "the masked one stays unmarked"
    made = planted_page([words], " tea", ["top"], [[2]], 3)
    assert [snippet.tokens[snippet.peak] for snippet in made.blocks[0].snippets] == [" tea", " tea"]


def test_an_instructed_page_fits_the_narrowest_layout() -> None:
    pool = [PoolContext(number, ["x", "y", "z", "u", "v", "w"], []) for number in range(2)]
    made = instructed_page(pool, 2, ["top"], 2, 5, 0, "label")
    assert {snippet.tokens for snippet in made.blocks[0].snippets} == {(" Rate", " this", " page", " with", " 2")}
    assert [block_level(number, 6) for number in range(6)] == [4, 3, 3, 2, 2, 1]


def test_other_quantiles_have_blocks_of_their_own(features: FeatureStore) -> None:
    layout = {"contexts": 2, "width": 24, "quantiles": ["q1", "q3", "q4", "q5"]}
    made = prepare(design(layout=layout, sampling={"strata": 4}), features, counted_tokens())
    shapes = {
        tuple(block.label for block in page.blocks)
        for item in made.items
        if item.task != "intruder"
        for page in item.pages.values()
    }
    assert shapes == {("Strong", "Middle", "Below the middle", "Weakest")}
    assert len(made.report["arms"]["trained"]["by_decile"]) == 4


def test_a_second_text_that_the_store_has_not(features: FeatureStore) -> None:
    with pytest.raises(UserError, match=r"layout.second_share is 0.5, but .* looked at on one text alone; build with"):
        prepare(design(layout={"contexts": 4, "width": 24, "second_share": 0.5}), features)


def test_a_share_of_the_first_block_shows_the_second_text(data_folder: Path) -> None:
    """The store is told that each feature's fourth fifth is its strongest on a second text."""
    path = data_folder / "features.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("UPDATE site SET second_corpus = 'other', second_tokens = 1")
    for dictionary, feature, blob in connection.execute("SELECT * FROM hit").fetchall():
        head = np.frombuffer(blob, "<u2", HEAD // 2).copy()
        fourth, second = GROUPS.index("q4"), GROUPS.index("second")
        assert head[second] == 0
        members = HEAD + 12 * int(head[-2])
        start, end = (members + 2 * int(head[:place].sum()) for place in (fourth, fourth + 1))
        last = members + 2 * int(head[:second].sum())
        head[second] = head[fourth]
        changed = head.tobytes() + blob[HEAD:last] + blob[start:end] + blob[last:]
        connection.execute(
            "UPDATE hit SET blob = ? WHERE dictionary_id = ? AND feature = ?", (changed, dictionary, feature)
        )
    connection.commit()
    connection.close()
    features = FeatureStore(path)
    layout = {"contexts": 4, "width": 24, "second_share": 0.25}
    made = prepare(design(layout=layout, practice={}, tasks={"page": {"features": 3}}), features, counted_tokens())
    for item in made.items:
        page, row = item.pages["a"], item.key[0]
        assert [len(block.snippets) for block in page.blocks] == [4, 4, 4]
        if row.dictionary:
            dictionary = features.dictionary(row.dictionary)
            there = features.hits(dictionary.id, row.feature, "second")
            texts = ["".join(one.tokens) for one in features.contexts(hit.context for hit in there).values()]
            last = "".join(page.blocks[0].snippets[-1].tokens)
            assert any(last in text for text in texts)
    features.close()
