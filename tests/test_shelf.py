"""Stars, lists and notes on both databases: each user's own, in the user's order, whatever text they hold."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import Conflict, NotFound, UserError
from app.store.shelf import LONGEST_NOTE, Place, Shelf
from app.store.study import StudyStore
from tests.studies import SetClock, open_store

ONE, TWO, THREE = (Place("sae", index, "the hash") for index in (1, 2, 3))


@pytest.fixture
def store(url: str, clock: SetClock) -> Iterator[StudyStore]:
    store = open_store(url, clock)
    yield store
    store.dispose()


@pytest.fixture
def shelf(store: StudyStore) -> Shelf:
    return Shelf(store)


def names(shelf: Shelf, owner: str = "ada") -> list[str]:
    return [one.name for one in shelf.lists(owner)]


def features(shelf: Shelf, list_id: int) -> list[int]:
    return [entry.place.feature for entry in shelf.entries("ada", list_id)[1]]


def test_stars_go_on_and_off_and_are_their_owner_s(shelf: Shelf) -> None:
    shelf.star("ada", ONE, False)  # nothing to take away, and no list is made of it
    assert shelf.lists("ada") == ()
    for place in (ONE, TWO, ONE):
        shelf.star("ada", place, True)
    shelf.star("bea", THREE, True)
    assert shelf.starred("ada", "sae") == {1, 2}
    assert shelf.starred("ada", "other") == frozenset()
    assert shelf.starred("bea", "sae") == {3}
    shelf.star("ada", ONE, False)
    assert shelf.starred("ada", "sae") == {2}
    assert [(one.name, one.kind, one.features) for one in shelf.lists("ada")] == [("Stars", "stars", 1)]
    assert shelf.kept("ada", "sae", 2).starred
    assert not shelf.kept("ada", "sae", 1).starred


def test_lists_are_named_ordered_and_deleted(shelf: Shelf) -> None:
    first, second, third = (shelf.new_list("ada", name) for name in ("Motion", " To  check ", "<b>&"))
    shelf.star("ada", ONE, True)
    assert names(shelf) == ["Stars", "Motion", "To check", "<b>&"]
    shelf.move_list("ada", third, -5)
    shelf.move_list("ada", first, 1)
    assert names(shelf) == ["Stars", "<b>&", "To check", "Motion"]
    shelf.rename("ada", second, "Seen")
    shelf.rename("ada", second, "seen")  # its own name in another case
    shelf.add("ada", second, ONE)
    shelf.delete("ada", second)
    assert names(shelf) == ["Stars", "<b>&", "Motion"]
    with pytest.raises(Conflict, match="a list “MOTION” already"):
        shelf.new_list("ada", "MOTION")
    with pytest.raises(Conflict, match="a list “stars” already"):
        shelf.rename("ada", third, "stars")
    for name in ("", " \n ", "x" * 81):
        with pytest.raises(UserError, match="1 to 80 characters"):
            shelf.new_list("ada", name)


def test_entries_keep_the_order_that_they_are_given(shelf: Shelf) -> None:
    mine = shelf.new_list("ada", "Motion")
    for place in (ONE, TWO, THREE, TWO):
        shelf.add("ada", mine, place)
    assert features(shelf, mine) == [1, 2, 3]
    last = shelf.entries("ada", mine)[1][-1]
    shelf.move("ada", mine, last.id, -2)
    shelf.move("ada", mine, last.id, -2)
    assert features(shelf, mine) == [3, 1, 2]
    shelf.remove("ada", mine, ONE)
    assert features(shelf, mine) == [3, 2]
    shelf.add("ada", mine, ONE)
    assert features(shelf, mine) == [3, 2, 1]
    kept = shelf.kept("ada", "sae", 1)
    assert (kept.chosen, [one.id for one in kept.lists]) == ({mine}, [mine])
    with pytest.raises(NotFound, match="not in this list any more"):
        shelf.move("ada", mine, 10**6, 1)


def test_nobody_reaches_another_s_list(shelf: Shelf) -> None:
    mine = shelf.new_list("ada", "Motion")
    shelf.add("ada", mine, ONE)
    entry = shelf.entries("ada", mine)[1][0].id
    attempts = [
        lambda: shelf.entries("bea", mine),
        lambda: shelf.rename("bea", mine, "Mine"),
        lambda: shelf.delete("bea", mine),
        lambda: shelf.move_list("bea", mine, 1),
        lambda: shelf.add("bea", mine, TWO),
        lambda: shelf.remove("bea", mine, ONE),
        lambda: shelf.move("bea", mine, entry, 1),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound, match="no list of that number"):
            attempt()
    assert features(shelf, mine) == [1]
    assert shelf.kept("bea", "sae", 1) == shelf.kept("bea", "sae", 2)
    shelf.star("ada", ONE, True)
    stars = shelf.lists("ada")[0].id
    for refused in (lambda: shelf.rename("ada", stars, "Suns"), lambda: shelf.move_list("ada", stars, 1)):
        with pytest.raises(Conflict, match="list of stars cannot be"):
            refused()


def test_notes_are_kept_found_and_emptied(shelf: Shelf, clock: SetClock) -> None:
    shelf.note("ada", ONE, "Fires on 100% of verbs")
    clock.forward(seconds=1)
    shelf.note("ada", TWO, "names of rivers\r\nand seas")
    shelf.note("bea", ONE, "verbs, too")
    assert [note.text for note in shelf.noted("ada")] == ["names of rivers\nand seas", "Fires on 100% of verbs"]
    assert [note.place for note in shelf.noted("ada", "VERBS")] == [ONE]
    assert [note.place for note in shelf.noted("ada", "100%")] == [ONE]
    assert shelf.noted("ada", "1_0") == ()
    shelf.note("ada", ONE, "verbs of motion")
    assert shelf.notes_on("ada", [ONE, THREE]) == {("sae", 1): shelf.noted("ada", "motion")[0]}
    shelf.note("ada", ONE, "  \n")
    assert shelf.kept("ada", "sae", 1).note is None
    with pytest.raises(UserError, match=f"A note holds {LONGEST_NOTE} characters"):
        shelf.note("ada", ONE, "x" * (LONGEST_NOTE + 1))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_note_of_any_characters_comes_back(shelf: Shelf, text: str) -> None:
    shelf.note("ada", ONE, text)
    found = shelf.kept("ada", "sae", 1).note
    assert (found.text if found else "") == text.replace("\r\n", "\n").replace("\0", "␀").strip()
