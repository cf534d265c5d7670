"""What a signed-in user keeps of the features browsed: stars, lists in an order of the user's own, notes.

    shelf = Shelf(state(request).study)
    shelf.star("ada", Place("topk-sae", 684, weights_hash), True)

It lies in the study store, so that it outlives a feature store that is built anew; each entry keeps the weights' hash of the
dictionary that was looked at, so that a page can tell when that one was replaced. No rater's route reaches this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.errors import Conflict, NotFound, UserError
from app.store import study_schema as t
from app.store.base import StoreBase

STARS = "Stars"
LONGEST_NAME = 80  # characters
LONGEST_NOTE = 8000
MOST_LISTS = 200  # an owner
MOST_LISTED = 5000  # a list
Kind = Literal["stars", "list"]
lists, listed, notes = t.feature_list.c, t.listed_feature.c, t.feature_note.c


@dataclass(frozen=True, slots=True)
class Place:
    """A feature by the names that outlive a feature store."""

    dictionary: str
    feature: int
    weights_hash: str


@dataclass(frozen=True, slots=True)
class FeatureList:
    id: int
    name: str
    kind: Kind
    created_at: datetime
    features: int  # how many


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a list."""

    id: int
    place: Place
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    place: Place
    text: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """All that an owner keeps of one feature. `chosen`: ids of the lists that it is in, stars left out."""

    starred: bool
    note: Noted | None
    lists: tuple[FeatureList, ...]  # all of the owner's, stars left out
    chosen: frozenset[int]


class Shelf:
    """The lists and notes of all users. `owner` is the name of a login; nobody reaches another's."""

    def __init__(self, store: StoreBase) -> None:
        self._reading, self._writing, self._clock = store._reading, store._writing, store.clock

    def kept(self, owner: str, dictionary: str, feature: int) -> Kept:
        with self._reading() as connection:
            mine = _lists(connection, owner)
            query = select(listed.list_id).where(
                listed.dictionary == dictionary,
                listed.feature == feature,
                listed.list_id.in_([one.id for one in mine]),
            )
            holding = frozenset(connection.execute(query).scalars())
            found = _notes(connection, owner, notes.dictionary == dictionary, notes.feature == feature)
        stars = frozenset(one.id for one in mine if one.kind == "stars")
        own = tuple(one for one in mine if one.kind == "list")
        return Kept(bool(stars & holding), found[0] if found else None, own, holding - stars)

    def kept_features(self, owner: str, dictionary: str) -> frozenset[int]:
        """Numbers of the features of one dictionary that are on some list of the owner's, or have a note."""
        on_lists = select(listed.feature).join(t.feature_list, lists.id == listed.list_id)
        on_lists = on_lists.where(lists.owner == owner, listed.dictionary == dictionary)
        noted = select(notes.feature).where(notes.owner == owner, notes.dictionary == dictionary)
        with self._reading() as connection:
            return frozenset(connection.execute(on_lists.union(noted)).scalars())

    def starred(self, owner: str, dictionary: str) -> frozenset[int]:
        """Numbers of the features of one dictionary that the owner has starred."""
        query = select(listed.feature).join(t.feature_list, lists.id == listed.list_id)
        query = query.where(lists.owner == owner, lists.kind == "stars", listed.dictionary == dictionary)
        with self._reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def star(self, owner: str, place: Place, on: bool) -> None:
        with self._writing() as connection:
            stars = select(lists.id).where(lists.owner == owner, lists.kind == "stars")
            found = connection.execute(stars).scalar_one_or_none()
            if found is None:
                if not on:
                    return
                self._insert_list(connection, owner, STARS, "stars")
                found = connection.execute(stars).scalar_one()
            if on:
                self._put(connection, found, place)
            else:
                _take(connection, found, place)

    def lists(self, owner: str) -> tuple[FeatureList, ...]:
        """Stars first, then the others in the owner's order."""
        with self._reading() as connection:
            return _lists(connection, owner)

    def entries(self, owner: str, list_id: int) -> tuple[FeatureList, tuple[Listed, ...]]:
        """A list with its entries in order. Raises NotFound where the owner has none of that number."""
        query = select(t.listed_feature).where(listed.list_id == list_id).order_by(listed.position, listed.id)
        with self._reading() as connection:
            found = _own(connection, owner, list_id)
            return found, tuple(
                Listed(row.id, Place(row.dictionary, row.feature, row.weights_hash), row.added_at)
                for row in connection.execute(query)
            )

    def new_list(self, owner: str, name: str) -> int:
        """Raises UserError where the name is none, Conflict where it is taken or there are too many."""
        name = _name(name)
        with self._writing() as connection:
            mine = _lists(connection, owner)
            if len(mine) >= MOST_LISTS:
                raise Conflict(f"There are {MOST_LISTS} lists, the most that one user can keep; delete one first.")
            _check_free(mine, name)
            return self._insert_list(connection, owner, name, "list")

    def rename(self, owner: str, list_id: int, name: str) -> None:
        """Raises NotFound, and UserError and Conflict as `new_list`."""
        name = _name(name)
        with self._writing() as connection:
            _check_own_list(_own(connection, owner, list_id), "renamed")
            _check_free([one for one in _lists(connection, owner) if one.id != list_id], name)
            connection.execute(update(t.feature_list).where(lists.id == list_id).values(name=name))

    def delete(self, owner: str, list_id: int) -> None:
        """The list and its entries, not the notes of the features in it. Raises NotFound."""
        with self._writing() as connection:
            _own(connection, owner, list_id)
            connection.execute(delete(t.listed_feature).where(listed.list_id == list_id))
            connection.execute(delete(t.feature_list).where(lists.id == list_id))

    def move_list(self, owner: str, list_id: int, by: int) -> None:
        """Earlier (`by` below 0) or later by so many places, as far as there are. Raises NotFound, Conflict for stars."""
        with self._writing() as connection:
            _check_own_list(_own(connection, owner, list_id), "moved")
            order = [one.id for one in _lists(connection, owner) if one.kind == "list"]
            _renumber(connection, t.feature_list, _moved(order, list_id, by))

    def add(self, owner: str, list_id: int, place: Place) -> None:
        """At the end of a list; a no-op where it is there. Raises NotFound, and Conflict where the list is full."""
        with self._writing() as connection:
            if _own(connection, owner, list_id).features >= MOST_LISTED:
                raise Conflict(f"This list holds {MOST_LISTED} features, the most that one can; begin another.")
            self._put(connection, list_id, place)

    def remove(self, owner: str, list_id: int, place: Place) -> None:
        with self._writing() as connection:
            _own(connection, owner, list_id)
            _take(connection, list_id, place)

    def move(self, owner: str, list_id: int, entry: int, by: int) -> None:
        """An entry, as `move_list` does a list. Raises NotFound."""
        query = select(listed.id).where(listed.list_id == list_id).order_by(listed.position, listed.id)
        with self._writing() as connection:
            _own(connection, owner, list_id)
            order = list(connection.execute(query).scalars())
            if entry not in order:
                raise NotFound("That feature is not in this list any more.", nearest=f"/lists/{list_id}")
            _renumber(connection, t.listed_feature, _moved(order, entry, by))

    def note(self, owner: str, place: Place, text: str) -> None:
        """Keep a note, in place of the one before; an empty one deletes it. Raises UserError where it is too long."""
        text = text.replace("\r\n", "\n").replace("\0", "\N{SYMBOL FOR NULL}").strip()  # PostgreSQL holds no NUL
        if len(text) > LONGEST_NOTE:
            raise UserError(f"A note holds {LONGEST_NOTE} characters, and this has {len(text)}; shorten it.")
        where = [notes.owner == owner, notes.dictionary == place.dictionary, notes.feature == place.feature]
        values = {"weights_hash": place.weights_hash, "text": text, "updated_at": self._clock()}
        with self._writing() as connection:
            if not text:
                connection.execute(delete(t.feature_note).where(*where))
            elif not connection.execute(update(t.feature_note).where(*where).values(values)).rowcount:
                names = {"owner": owner, "dictionary": place.dictionary, "feature": place.feature}
                connection.execute(_unless_there(connection, t.feature_note).values(**names, **values))

    def noted(self, owner: str, words: str = "", limit: int = 50) -> tuple[Noted, ...]:
        """The owner's notes that contain the words, whatever their case; the one written last comes first."""
        where = [notes.text.icontains(words, autoescape=True)] if words else []
        with self._reading() as connection:
            return _notes(connection, owner, *where, limit=limit)

    def notes_on(self, owner: str, places: Sequence[Place]) -> dict[tuple[str, int], Noted]:
        """By dictionary and feature."""
        wanted = {(place.dictionary, place.feature) for place in places}
        with self._reading() as connection:
            found = _notes(connection, owner, notes.dictionary.in_({name for name, _ in wanted}))
        return {key: one for one in found if (key := (one.place.dictionary, one.place.feature)) in wanted}

    def _insert_list(self, connection: Connection, owner: str, name: str, kind: Kind) -> int:
        last = connection.execute(select(func.max(lists.position)).where(lists.owner == owner)).scalar_one()
        values = {"owner": owner, "name": name, "kind": kind, "position": (last or 0) + 1, "created_at": self._clock()}
        made = connection.execute(insert(t.feature_list).values(values)).inserted_primary_key
        return int(made[0]) if made else 0

    def _put(self, connection: Connection, list_id: int, place: Place) -> None:
        last = connection.execute(select(func.max(listed.position)).where(listed.list_id == list_id)).scalar_one()
        values = {
            "list_id": list_id,
            "dictionary": place.dictionary,
            "feature": place.feature,
            "weights_hash": place.weights_hash,
            "position": (last or 0) + 1,
            "added_at": self._clock(),
        }
        connection.execute(_unless_there(connection, t.listed_feature).values(values))


def _lists(connection: Connection, owner: str, *where: ColumnElement[bool]) -> tuple[FeatureList, ...]:
    held = select(func.count()).where(listed.list_id == lists.id).scalar_subquery()
    query = select(lists.id, lists.name, lists.kind, lists.created_at, held.label("features"))
    query = query.where(lists.owner == owner, *where).order_by(lists.kind == "list", lists.position, lists.id)
    return tuple(FeatureList(**row._mapping) for row in connection.execute(query))


def _own(connection: Connection, owner: str, list_id: int) -> FeatureList:
    found = _lists(connection, owner, lists.id == list_id)
    if not found:
        raise NotFound("You have no list of that number; choose one from your lists.", nearest="/lists")
    return found[0]


def _notes(
    connection: Connection, owner: str, *where: ColumnElement[bool], limit: int | None = None
) -> tuple[Noted, ...]:
    query = select(t.feature_note).where(notes.owner == owner, *where)
    rows = connection.execute(query.order_by(notes.updated_at.desc(), notes.id.desc()).limit(limit))
    return tuple(Noted(Place(row.dictionary, row.feature, row.weights_hash), row.text, row.updated_at) for row in rows)


def _take(connection: Connection, list_id: int, place: Place) -> None:
    here = [listed.list_id == list_id, listed.dictionary == place.dictionary, listed.feature == place.feature]
    connection.execute(delete(t.listed_feature).where(*here))


def _unless_there(connection: Connection, table: Table) -> Any:
    """An insert that leaves alone what another request has put there a moment before."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def _renumber(connection: Connection, table: Table, order: Sequence[int]) -> None:
    for position, one in enumerate(order, 1):
        connection.execute(update(table).where(table.c.id == one).values(position=position))


def _moved(order: Sequence[int], one: int, by: int) -> Sequence[int]:
    at = order.index(one)
    rest = [*order[:at], *order[at + 1 :]]
    to = min(max(at + by, 0), len(rest))
    return [*rest[:to], one, *rest[to:]]


def _name(name: str) -> str:
    name = " ".join(name.replace("\0", " ").split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise UserError(f"A list's name has 1 to {LONGEST_NAME} characters; give it another one.")
    return name


def _check_free(mine: Sequence[FeatureList], name: str) -> None:
    if name.casefold() in {STARS.casefold(), *(one.name.casefold() for one in mine)}:
        raise Conflict(f"There is a list “{name}” already; choose another name.")


def _check_own_list(found: FeatureList, done: str) -> None:
    if found.kind == "stars":
        raise Conflict(f"The list of stars cannot be {done}; the others can.")
