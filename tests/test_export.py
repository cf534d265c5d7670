"""ratings.csv: what its rows say before and after the reveal, and that hostile text survives the round trip."""

import csv
import io
from collections import Counter
from pathlib import Path

import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from app.errors import NotFound
from app.export import COLUMNS, GUARDED, csv_text, guard, rating_rows, unguard, write_csv
from app.store import study_schema as t
from app.store.sealed import key
from app.store.study import StudyStore
from app.study.answers import PageAnswer, PairAnswer
from tests.studies import SetClock, answer, answer_all, frozen_study, open_store

KEY_COLUMNS = ("arm", "dictionary", "feature", "other_arm", "other_dictionary", "other_feature")


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(f"sqlite:///{tmp_path / 'study.sqlite'}")
    opened.freeze(frozen_study(), "ada")
    yield opened
    opened.dispose()


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_empty_study_has_a_header_and_no_rows(store: StudyStore) -> None:
    assert csv_text(store, "small") == ",".join(COLUMNS) + "\r\n"
    with pytest.raises(NotFound, match="there are small"):
        csv_text(store, "smal")


def test_one_row_a_final_answered_question(store: StudyStore) -> None:
    rater = store.add_rater("small", "Ada's own name", "ada")
    screens = list(answer_all(store, rater))
    rows = parsed(csv_text(store, "small"))
    assert Counter(row["task"] for row in rows) == {"page-score": 3, "pair-score": 8, "pair-choice": 4}
    assert [int(row["order"]) for row in rows] == [1, 2, 3, *(n for n in (4, 5, 6, 7) for _ in range(3))]
    assert {row["rater"] for row in rows} == {rater.pseudonym}
    assert "Ada's own name" not in csv_text(store, "small")
    assert {row["side"] for row in rows if row["task"] == "page-score"} == {""}
    assert Counter(row["side"] for row in rows if row["task"] == "pair-score") == {"left": 4, "right": 4}
    assert {row["server_ms"] for row in rows} == {"0"}
    assert {row["visible_ms"] for row in rows} == {"1500"}
    assert {row["at"] for row in rows} == {"2026-03-01T12:00:00.000Z"}
    assert {row["staff"] for row in rows} == {"false"}
    study = store.study("small")
    assert {(row["study"], row["protocol_hash"], row["key_commitment"]) for row in rows} == {
        ("small", study.protocol_hash, study.key_commitment)
    }
    assert not {row["item"] for row in rows} & {screen.public_id for screen in screens}
    assert {row["item"] for row in rows} == {item.public_id for item in frozen_study().items}


def test_only_the_last_revision_is_exported(store: StudyStore) -> None:
    rater = store.add_rater("small", "one", "ada")
    screen = answer(store, rater)
    assert screen is not None
    store.undo(rater)
    store.submit(rater, screen.public_id, 2, PageAnswer(5), 40, True)
    [row] = parsed(csv_text(store, "small"))
    assert (row["revision"], row["value"], row["visible_ms"], row["staff"]) == ("2", "5", "40", "true")


def test_the_key_columns_fill_at_the_reveal_and_nothing_else_changes(store: StudyStore) -> None:
    for label in ("one", "two"):
        list(answer_all(store, store.add_rater("small", label, "ada")))
    before = parsed(csv_text(store, "small"))
    assert all(row[column] == "" for row in before for column in KEY_COLUMNS)
    assert "canary" not in csv_text(store, "small")
    study = store.close("small", "ada")
    assert all(row[column] == "" for row in parsed(csv_text(store, "small")) for column in KEY_COLUMNS)
    store.reveal("small", "ada")
    after = parsed(csv_text(store, "small"))
    assert [{c: v for c, v in row.items() if c not in KEY_COLUMNS} for row in after] == [
        {c: v for c, v in row.items() if c not in KEY_COLUMNS} for row in before
    ]
    opened = key(store, study)
    with store.engine.connect() as connection:
        flips = {
            (row.pseudonym, row.public_id): row.flip
            for row in connection.execute(
                select(t.rater.c.pseudonym, t.item.c.public_id, t.assignment.c.flip)
                .join(t.rater, t.rater.c.id == t.assignment.c.rater_id)
                .join(t.item, t.item.c.id == t.assignment.c.item_id)
            )
        }
    for row in after:
        pages = opened[row["item"]]
        if row["task"] == "page-score":
            own, other = pages["a"], None
        else:
            left, right = (pages["b"], pages["a"]) if flips[row["rater"], row["item"]] else (pages["a"], pages["b"])
            own, other = (left, right) if row["side"] == "left" else (right, left)
        assert (row["arm"], row["dictionary"], row["feature"]) == (own.arm, own.dictionary, str(own.feature))
        if other is None:
            assert (row["other_arm"], row["other_dictionary"], row["other_feature"]) == ("", "", "")
        else:
            assert (row["other_arm"], row["other_feature"]) == (other.arm, str(other.feature))


def test_scores_and_choice_belong_to_the_sides_as_shown(store: StudyStore) -> None:
    rater = store.add_rater("small", "one", "ada")
    shown = {}
    while (screen := store.screen(rater)) is not None:
        given = PageAnswer(3) if screen.task == "page" else PairAnswer(1, 5, "right")
        shown[screen.position] = [page.blocks[0].snippets[0].tokens[2] for page in screen.pages]
        store.submit(rater, screen.public_id, 1, given, None, False)
    store.close("small", "ada")
    store.reveal("small", "ada")
    for row in parsed(csv_text(store, "small")):
        if row["task"] != "pair-score":
            continue
        place = {"left": 0, "right": 1}[row["side"]]
        word = shown[int(row["order"])][place]  # "word4a" is feature 40, "word4b" feature 41
        assert int(row["feature"]) == int(word[4:-1]) * 10 + "ab".index(word[-1])
        assert row["value"] == {"left": "1", "right": "5"}[row["side"]]
        assert row["visible_ms"] == ""


def test_pandas_reads_it(store: StudyStore, tmp_path: Path) -> None:
    list(answer_all(store, store.add_rater("small", "one", "ada")))
    store.close("small", "ada")
    store.reveal("small", "ada")
    path = tmp_path / "ratings.csv"
    path.write_bytes(csv_text(store, "small").encode())
    table = pandas.read_csv(path)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 15
    assert table["staff"].dtype == bool
    assert str(pandas.to_datetime(table["at"])[0]) == "2026-03-01 12:00:00+00:00"
    scores = table[table["task"] == "pair-score"]
    assert scores["value"].astype(int).between(1, 5).all()
    assert scores.groupby("arm")["value"].size().sum() == 8
    assert table.loc[table["task"] == "page-score", "other_arm"].isna().all()


def test_a_late_answer_is_left_out(tmp_path: Path) -> None:
    clock = SetClock()
    store = open_store(f"sqlite:///{tmp_path / 'late.sqlite'}", clock)
    store.freeze(frozen_study(pages=1, pairs=0, raters_per_item=1), "ada")
    slow, quick = (store.add_rater("small", label, "ada") for label in ("slow", "quick"))
    held = store.screen(slow)
    clock.forward(minutes=31)
    answer(store, quick)
    assert held is not None
    store.submit(slow, held.public_id, 1, PageAnswer(5), None, False)
    assert [row["rater"] for row in rating_rows(store, "small")] == [quick.pseudonym]
    store.dispose()


hostile = st.text(alphabet=st.characters(exclude_categories=[]), max_size=30) | st.sampled_from(
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\ttab",
        "\rcr",
        "'quoted",
        "''",
        'say "no", then\r\nleave\n',
        "nul\x00byte",
        "\x00",
        "lone \ud800 surrogate \udfff",
        "\\u0041 \\ud800 \\x",
        "\\",
        "\u05e9\u05dc\u05d5\u05dd \u200f\u0639\u0631\u0628\u064a\u200e \u202ereversed",
        "\ufeffbom",
        " lead and trail ",
        "NA",
        "",
        ",",
        ";",
        "🜁🜂",
    ]
)


@given(st.lists(hostile, min_size=len(COLUMNS), max_size=len(COLUMNS)))
@example(["\ud800", "=\x00", "'\\u0000", *[""] * (len(COLUMNS) - 3)])
def test_hostile_text_survives_csv_and_pandas(cells: list[str]) -> None:
    file = io.StringIO(newline="")
    write_csv([dict(zip(COLUMNS, cells, strict=True))], file)
    data = file.getvalue().encode("utf-8")  # raises where a cell could not be written

    [row] = parsed(data.decode("utf-8"))
    assert [unguard(row[column]) for column in COLUMNS] == cells

    table = pandas.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, lineterminator=None)
    assert [unguard(table[column][0]) for column in COLUMNS] == cells

    assert not [value for value in row.values() if value.startswith(GUARDED[:-1])], "a spreadsheet would run this"


@given(hostile)
def test_a_guard_is_undone(text: str) -> None:
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("plain", ["trained", "topk-sae", "a=b", "3", "left", "a\\b"])
def test_ordinary_cells_stay_as_they_are(plain: str) -> None:
    assert guard(plain) == plain


def test_numbers_and_missing_values_are_never_guarded() -> None:
    assert (guard(-3), guard(0), guard(None)) == ("-3", "0", "")
