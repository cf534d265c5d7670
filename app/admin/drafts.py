"""Drafts: a study file written in the browser, checked as it is saved, frozen after a confirmation."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.admin.confirm import ConfirmPage, check_confirmed
from app.admin.studies import Admin
from app.check import check, declared
from app.errors import Conflict, Unprocessable
from app.freeze import freeze
from app.render import render
from app.state import state
from app.store.features import FeatureStore
from app.store.study import Draft
from app.study.plan import items, questions
from app.study.protocol import Protocol
from app.toml import Problem, read_toml

router = APIRouter(prefix="/admin/drafts")
STARTER = """\
# A study file. docs/study-file.md explains every key.
name = "{name}"
title = "How clear are these pages?"   # raters read it: it must name no arm
raters_per_item = 3

[[arm]]
name = "trained"
dictionaries = [{trained}]

[[arm]]
name = "random"
dictionaries = [{random}]

[[arm]]
name = "null-pages"
control = "null"

[tasks.page]
features = 10                          # pages an arm

[estimand]                             # what is to be found out, said before the first rating
trained = "trained"
random = "random"
"""
# What is asked, by its task or, where it is none of the study's main items, its purpose: one of it, and many.
KINDS = {
    "page": ("page", "pages"),
    "pair": ("pair", "pairs"),
    "intruder": ("intruder trial", "intruder trials"),
    "catch": ("check", "checks"),
    "practice": ("practice question", "practice questions"),
    "guess": ("page to guess on", "pages to guess on"),
}


@dataclass(frozen=True)
class DraftPage:
    admin: str
    draft: Draft
    problems: tuple[Problem, ...]
    facts: tuple[tuple[str, str], ...]  # what the design asks for, where it is sound
    dictionaries: tuple[str, ...]  # names that an arm may use


@dataclass(frozen=True)
class CheckPage:
    admin: str
    draft: str
    lines: tuple[str, ...]


@router.post("")
def new(request: Request, admin: Admin, name: Annotated[str, Form()] = "") -> Response:
    app = state(request)
    found = app.features.dictionaries() if app.features is not None else []
    trained, random = (
        ", ".join(f'"{one.name}"' for one in [d for d in found if d.trained is kind][:1]) for kind in (True, False)
    )
    draft = app.study.new_draft(name, STARTER.format(name=name, trained=trained, random=random), admin.name)
    return RedirectResponse(f"/admin/drafts/{draft.name}", 303)


@router.get("/{name}")
def show(request: Request, admin: Admin, name: str) -> Response:
    app = state(request)
    draft = app.study.draft(name)
    read = read_toml(draft.text, Protocol)
    names = tuple(d.name for d in app.features.dictionaries()) if app.features is not None else ()
    if isinstance(read, Protocol):
        page = DraftPage(admin.name, draft, tuple(_unknown(read, names)), _facts(read), names)
    else:
        page = DraftPage(admin.name, draft, tuple(read), (), names)
    return render(request, "admin/draft.html", page)


@router.post("/{name}")
def save(request: Request, admin: Admin, name: str, text: Annotated[str, Form()] = "") -> Response:
    state(request).study.save_draft(name, text.replace("\r\n", "\n"), admin.name)
    return RedirectResponse(f"/admin/drafts/{name}", 303)


@router.post("/{name}/delete")
def delete(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    check_confirmed(final)
    state(request).study.delete_draft(name, admin.name)
    return RedirectResponse("/admin", 303)


@router.get("/{name}/delete")
def ask_delete(request: Request, admin: Admin, name: str) -> Response:
    draft = state(request).study.draft(name)
    address = f"/admin/drafts/{draft.name}"
    consequences = ("Its text is lost. A study that was frozen from it stays.",)
    page = ConfirmPage(
        admin.name, address, name, f"Delete the draft {name}", consequences, f"{address}/delete", "Delete for good"
    )
    return render(request, "admin/confirm.html", page)


@router.get("/{name}/check")
def show_check(request: Request, admin: Admin, name: str) -> Response:
    """What `dartboard study check` says: it draws the features and simulates, which takes seconds."""
    app = state(request)
    draft = app.study.draft(name)
    lines = tuple(check(_sound(draft), _features(app.features), lambda _: None))
    return render(request, "admin/check.html", CheckPage(admin.name, name, lines))


@router.get("/{name}/freeze")
def ask_freeze(request: Request, admin: Admin, name: str) -> Response:
    app = state(request)
    protocol = _sound(app.study.draft(name))
    app.study.check_name_is_free(protocol.name)
    address = f"/admin/drafts/{name}"
    consequences = (
        f"The features are drawn and every page is built, under the name {protocol.name}.",
        "The design and the key to it are hashed; neither can be changed from then on.",
        "The study opens at once: whoever has a link may rate.",
    )
    page = ConfirmPage(
        admin.name, address, name, "Freeze the study", consequences, f"{address}/freeze", "Freeze for good"
    )
    return render(request, "admin/confirm.html", page)


@router.post("/{name}/freeze")
def freeze_it(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    check_confirmed(final)
    app = state(request)
    study = freeze(_sound(app.study.draft(name)), _features(app.features), app.study, admin.name)
    return RedirectResponse(f"/admin/studies/{study.name}", 303)


def _sound(draft: Draft) -> Protocol:
    """Raises Unprocessable where something is wrong in the draft."""
    read = read_toml(draft.text, Protocol)
    if isinstance(read, Protocol):
        return read
    raise Unprocessable(f"The draft {draft.name} cannot be frozen as it is: {read[0].message}")


def _features(store: FeatureStore | None) -> FeatureStore:
    if store is None:
        raise Conflict("There is no feature store to draw from; make one with `dartboard build BUILD.toml`.")
    return store


def _unknown(protocol: Protocol, names: tuple[str, ...]) -> list[Problem]:
    """Dictionaries that the feature store does not have."""
    return [
        Problem(
            f"arm[{place}].dictionaries", f"arm[{place}].dictionaries: there is no dictionary {wanted!r} in the store."
        )
        for place, arm in enumerate(protocol.arms)
        for wanted in arm.dictionaries
        if wanted not in names
    ]


def _facts(protocol: Protocol) -> tuple[tuple[str, str], ...]:
    """What a sound design asks of its raters."""
    asked = Counter[str]()
    for question in questions(protocol):
        asked[question.task if question.purpose == "main" else question.purpose] += items(protocol, question)
    rated = sum(asked[task] for task in ("page", "pair", "intruder"))
    return (
        (
            "Questions",
            ", ".join(f"{asked[kind]} {names[asked[kind] > 1]}" for kind, names in KINDS.items() if asked[kind]),
        ),
        ("Ratings", f"{rated * protocol.raters_per_item}: {protocol.raters_per_item} for each of {rated} items"),
        ("Arms", ", ".join(arm.name for arm in protocol.arms)),
        ("Declared", declared(protocol)),
        ("Repeats", f"{protocol.repeats.share:.0%} of a rater's questions, {protocol.repeats.distance} apart or more"),
    )
