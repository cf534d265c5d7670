"""A user's lists: see, make, rename, reorder, delete them; what is in one, in its order; a list as JSON or as one HTML file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.lookup import feature_url
from app.browse.owner import owner_needed
from app.browse.saved import SavedFeature, save_features, saved_name
from app.browse.shelf import list_number
from app.errors import Conflict, Unprocessable
from app.render import render
from app.state import state
from app.store.features import Dictionary, Feature, FeatureStore
from app.store.shelf import FeatureList, Listed, Noted, Place, Shelf

router = APIRouter(prefix="/lists")
WAYS = {"up": -1, "down": 1}
SHOWN_NOTES = 200
MOST_SAVED = 200  # features in one HTML file


@dataclass(frozen=True, slots=True)
class NoteLine:
    note: Noted
    url: str
    gone: str  # why the feature is not there to be looked at, or ""


@dataclass(frozen=True, slots=True)
class ListsPage:
    owner: str
    lists: tuple[FeatureList, ...]
    notes: tuple[NoteLine, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """`feature` is None where the store of today has none such; `changed`: the dictionary has other weights than then."""

    listed: Listed
    dictionary: Dictionary | None
    feature: Feature | None
    changed: bool
    note: Noted | None


@dataclass(frozen=True, slots=True)
class ListPage:
    """`savable`: whether there is an HTML file of it; `export_html` says why not."""

    owner: str
    shown: FeatureList
    entries: tuple[Entry, ...]
    savable: bool


@dataclass(frozen=True, slots=True)
class DeleteListPage:
    owner: str
    shown: FeatureList


@router.get("")
def lists_page(request: Request) -> Response:
    owner, shelf = mine(request)
    names = {d.name: d for d in store.dictionaries()} if (store := state(request).features) is not None else {}
    notes = tuple(note_line(note, names) for note in shelf.noted(owner, limit=SHOWN_NOTES))
    return render(request, "browse/lists.html", ListsPage(owner, shelf.lists(owner), notes))


@router.post("")
def make(request: Request, name: Annotated[str, Form()] = "") -> Response:
    owner, shelf = mine(request)
    return RedirectResponse(f"/lists/{shelf.new_list(owner, name)}", 303)


@router.get("/export.json")
def export_all(request: Request) -> Response:
    """Every list and note of the owner."""
    owner, shelf = mine(request)
    lists = [list_json(*shelf.entries(owner, one.id), {}) for one in shelf.lists(owner)]
    notes = [{**place_json(note.place), **note_json(note)} for note in shelf.noted(owner, limit=100_000)]
    return download({"owner": owner, "lists": lists, "notes": notes}, "dartboard-lists.json")


@router.get("/{number}")
def list_page(request: Request, number: str) -> Response:
    owner, shelf = mine(request)
    shown, listed = shelf.entries(owner, list_number(number))
    entries = found(request, owner, shelf, listed)
    savable = len(entries) <= MOST_SAVED and any(entry.feature is not None for entry in entries)
    return render(request, "browse/list.html", ListPage(owner, shown, entries, savable))


@router.post("/{number}/rename")
def rename(request: Request, number: str, name: Annotated[str, Form()] = "") -> Response:
    owner, shelf = mine(request)
    shelf.rename(owner, list_number(number), name)
    return RedirectResponse(f"/lists/{number}", 303)


@router.post("/{number}/move")
def move_list(request: Request, number: str, way: Annotated[str, Form()] = "") -> Response:
    owner, shelf = mine(request)
    shelf.move_list(owner, list_number(number), steps(way))
    return RedirectResponse(f"/lists#list-{number}", 303)


@router.get("/{number}/delete")
def ask_delete(request: Request, number: str) -> Response:
    owner, shelf = mine(request)
    shown, _ = shelf.entries(owner, list_number(number))
    return render(request, "browse/list-delete.html", DeleteListPage(owner, shown))


@router.post("/{number}/delete")
def delete(request: Request, number: str) -> Response:
    owner, shelf = mine(request)
    shelf.delete(owner, list_number(number))
    return RedirectResponse("/lists", 303)


@router.post("/{number}/entries/{entry}/move")
def move_entry(request: Request, number: str, entry: str, way: Annotated[str, Form()] = "") -> Response:
    owner, shelf = mine(request)
    shelf.move(owner, list_number(number), list_number(entry), steps(way))
    return RedirectResponse(f"/lists/{number}#entry-{entry}", 303)


@router.post("/{number}/entries/{entry}/remove")
def remove_entry(request: Request, number: str, entry: str) -> Response:
    owner, shelf = mine(request)
    _, listed = shelf.entries(owner, list_number(number))
    for one in listed:
        if one.id == list_number(entry):
            shelf.remove(owner, list_number(number), one.place)
    return RedirectResponse(f"/lists/{number}", 303)


@router.get("/{number}/export.json")
def export_json(request: Request, number: str) -> Response:
    owner, shelf = mine(request)
    shown, listed = shelf.entries(owner, list_number(number))
    notes = shelf.notes_on(owner, [one.place for one in listed])
    return download(list_json(shown, listed, notes), f"{saved_name(shown.name)}.json")


@router.get("/{number}/export.html")
def export_html(request: Request, number: str) -> Response:
    """One file that opens from disk. Raises Conflict where the list is too long for one, or none of it is there."""
    owner, shelf = mine(request)
    shown, listed = shelf.entries(owner, list_number(number))
    if len(listed) > MOST_SAVED:
        raise Conflict(f"One HTML file holds {MOST_SAVED} features, and this list has {len(listed)}; part it first.")
    store = state(request).features
    some = [
        SavedFeature(entry.dictionary, entry.feature, entry.note.text if entry.note else "")
        for entry in found(request, owner, shelf, listed)
        if entry.dictionary is not None and entry.feature is not None
    ]
    if store is None or not some:
        raise Conflict("No feature of this list is in the feature store of now, so there is nothing to save.")
    headers = {"Content-Disposition": f'attachment; filename="{saved_name(shown.name)}.html"'}
    text = save_features(store, shown.name, some, state(request).settings.public_url)
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def mine(request: Request) -> tuple[str, Shelf]:
    return owner_needed(request), Shelf(state(request).study)


def found(request: Request, owner: str, shelf: Shelf, listed: Sequence[Listed]) -> tuple[Entry, ...]:
    """The entries with what the feature store says of them now."""
    store = state(request).features
    places = [one.place for one in listed]
    notes = shelf.notes_on(owner, places)
    known = features_at(store, places) if store is not None else {}
    entries = []
    for one in listed:
        key = (one.place.dictionary, one.place.feature)
        dictionary, feature = known.get(key, (None, None))
        changed = dictionary is not None and dictionary.weights_hash != one.place.weights_hash
        entries.append(Entry(one, dictionary, feature, changed, notes.get(key)))
    return tuple(entries)


def features_at(store: FeatureStore, places: Sequence[Place]) -> dict[tuple[str, int], tuple[Dictionary, Feature]]:
    """By dictionary's name and number; one query a dictionary."""
    wanted: dict[str, list[int]] = {}
    for place in places:
        wanted.setdefault(place.dictionary, []).append(place.feature)
    return {
        (dictionary.name, index): (dictionary, feature)
        for dictionary in store.dictionaries()
        if dictionary.name in wanted
        for index, feature in store.some(dictionary.id, wanted[dictionary.name]).items()
    }


def note_line(note: Noted, names: dict[str, Dictionary]) -> NoteLine:
    place = note.place
    dictionary = names.get(place.dictionary)
    if dictionary is None or place.feature >= dictionary.m:
        return NoteLine(note, "", "not in the feature store of now")
    changed = dictionary.weights_hash != place.weights_hash
    return NoteLine(
        note, feature_url(dictionary, place.feature), "the dictionary has other weights now" if changed else ""
    )


def list_json(shown: FeatureList, listed: Sequence[Listed], notes: dict[tuple[str, int], Noted]) -> dict[str, Any]:
    entries = []
    for one in listed:
        note = notes.get((one.place.dictionary, one.place.feature))
        entries.append(
            {**place_json(one.place), "added_at": moment(one.added_at), **({"note": note.text} if note else {})}
        )
    return {"name": shown.name, "kind": shown.kind, "created_at": moment(shown.created_at), "features": entries}


def place_json(place: Place) -> dict[str, Any]:
    return {"dictionary": place.dictionary, "feature": place.feature, "weights_sha256": place.weights_hash}


def note_json(note: Noted) -> dict[str, Any]:
    return {"note": note.text, "updated_at": moment(note.updated_at)}


def moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def download(content: dict[str, Any], name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    body = json.dumps(content, ensure_ascii=True, indent=2) + "\n"
    return Response(body, headers=headers, media_type="application/json")


def steps(way: str) -> int:
    if way not in WAYS:
        raise Unprocessable(f"“way” is up or down, not “{way[:40]}”; go back and use the page's buttons.")
    return WAYS[way]
