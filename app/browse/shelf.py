"""Star a feature, write a note on it, put it on lists: forms of its page, which go back to it."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature
from app.browse.owner import owner_needed
from app.errors import Unprocessable
from app.state import state
from app.store.shelf import Place, Shelf

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")
SWITCH = {"yes": True, "no": False}


@router.post("/star")
def star(request: Request, name: str, index: str, on: Annotated[str, Form()] = "yes") -> Response:
    owner, shelf, place, here = found(request, name, index)
    shelf.star(owner, place, switched(on))
    return RedirectResponse(here, 303)


@router.post("/note")
def note(request: Request, name: str, index: str, text: Annotated[str, Form()] = "") -> Response:
    owner, shelf, place, here = found(request, name, index)
    shelf.note(owner, place, text)
    return RedirectResponse(f"{here}#kept", 303)


@router.post("/lists")
def choose_lists(
    request: Request,
    name: str,
    index: str,
    number: Annotated[str, Form(alias="list")] = "",
    on: Annotated[str, Form()] = "yes",
    new: Annotated[str, Form(alias="name")] = "",
) -> Response:
    """Onto a list or off it; with a `name`, onto a list that is made."""
    owner, shelf, place, here = found(request, name, index)
    list_id = shelf.new_list(owner, new) if not number else list_number(number)
    if switched(on):
        shelf.add(owner, list_id, place)
    else:
        shelf.remove(owner, list_id, place)
    return RedirectResponse(f"{here}#kept", 303)


def found(request: Request, name: str, index: str) -> tuple[str, Shelf, Place, str]:
    """Owner, shelf, feature, and the address of its page. Raises LoginNeeded, NotFound."""
    owner = owner_needed(request)
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    place = Place(dictionary.name, feature.index, dictionary.weights_hash)
    return owner, Shelf(state(request).study), place, feature_url(dictionary, feature.index)


def list_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unprocessable(f"A list is named by its number, not “{text[:40]}”; choose one of your lists.")
    return int(text)


def switched(text: str) -> bool:
    if text not in SWITCH:
        raise Unprocessable(f"“on” is yes or no, not “{text[:40]}”; go back and use the page's button.")
    return SWITCH[text]
