"""What is typed to search for never reaches FTS5 as its syntax, and finds what it says."""

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.store.feature_schema import CONTEXT_TEXT
from app.store.matching import LONGEST, match_query, plain, token_key

TEXTS = {3: "the cat sat on the Mat", 7: "naïve café OR NOT near", 9: "concatenate: the mat"}


@pytest.fixture(scope="module")
def texts():
    connection = sqlite3.connect(":memory:")
    connection.execute(CONTEXT_TEXT)
    connection.executemany("INSERT INTO context_text (rowid, text) VALUES (?, ?)", TEXTS.items())
    yield connection
    connection.close()


def found(texts, typed):
    query = match_query(typed)
    sql = "SELECT rowid FROM context_text WHERE context_text MATCH ? ORDER BY rowid"
    return [row[0] for row in texts.execute(sql, (query,))] if query else None


@pytest.mark.parametrize(
    ("typed", "rows"),
    [
        ("cat", [3]),
        ("MAT the", [3, 9]),
        ('"the mat"', [3, 9]),
        ('"cat the"', []),
        ("c*", [3, 7, 9]),
        ('"the m"*', [3, 9]),
        ("mat -cat", [9]),
        ('mat -"cat sat"', [9]),
        ("cafe", [7]),
        ("OR", [7]),
        ("near NOT", [7]),
        ("-cat", None),
        ("( { ** ", None),
        ("", None),
        ('cat "', [3]),
        ("cat\x00sat", [3]),
    ],
)
def test_words_phrases_beginnings_and_what_is_unwanted(texts, typed, rows):
    assert found(texts, typed) == rows


@example('NEAR("a b", 3) AND text : x OR ^y')
@example('a"b c"d" -"')
@example("{text} : cat + dog - (x)")
@example("\ud800 \x00 \u202e")
@example("x " * 400)
@given(st.text(alphabet=st.one_of(st.sampled_from(list('"*-^:(){}+ aNORT\x00')), st.characters()), max_size=300))
def test_nothing_that_can_be_typed_is_an_error(texts, typed):
    found(texts, typed)


def test_what_is_too_long_is_cut():
    assert match_query("a " * LONGEST).count('"a"') <= 16


def test_a_token_is_looked_up_without_spaces_and_case():
    assert token_key(" Straße") == token_key("STRASSE\n") == "strasse"
    assert plain("a\nb\ud800é") == "a b é"
