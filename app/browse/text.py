"""A text of the reader's own: where any feature fires in it, and the strongest features of some of its tokens.

The live worker reads the text; who leaves the page, or stops it, calls the reading off.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Self
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.listing import natural
from app.browse.lookup import current_store, find_dictionary, find_feature
from app.browse.text_code import MAX_CHARACTERS, decode, text_url
from app.browse.text_view import TextView, view
from app.errors import Conflict, NotFound, Unavailable, Unprocessable
from app.live import OFF, STARTING, Live
from app.live_answers import Read, Reading
from app.render import render
from app.security import client_of
from app.state import state
from app.store.features import Dictionary, Feature, FeatureStore, Site

router = APIRouter(prefix="/text")

LOOK_SECONDS = 0.2  # between two looks whether whoever asked is still there
GONE = "Whoever asked for this text has left."


@dataclass(frozen=True, slots=True)
class Choice:
    """What the address says of a text: tokens `first` to `last`, from 0, all where None; the feature that colours it."""

    site: Site
    first: int | None = None
    last: int | None = None
    feature: tuple[Dictionary, Feature] | None = None

    @classmethod
    def parse(cls, store: FeatureStore, query: Mapping[str, str]) -> Self:
        """Raises Unprocessable with the name of a bad value, NotFound with the nearest of what there is not."""
        sites = store.sites()
        feature = cls._feature(store, query["feature"]) if query.get("feature") else None
        wanted = query.get("site") or (sites[0].name if feature is None else "")
        site = next(
            (s for s in sites if s.name == wanted or (feature and not wanted and s.id == feature[0].site_id)), None
        )
        if site is None:
            raise NotFound(f"There is no site “{wanted[:80]}”; the store has {', '.join(s.name for s in sites)}.")
        if feature is not None and feature[0].site_id != site.id:
            feature = None  # the reader went to another site
        first, last = (natural(name, query[name]) - 1 if query.get(name) else None for name in ("from", "to"))
        first, last = (last if first is None else first), (first if last is None else last)
        if first is not None and last is not None and not 0 <= first <= last:
            raise Unprocessable("“from” and “to” in the address are tokens counted from 1, the first of them no later.")
        return cls(site, first, last, feature)

    @staticmethod
    def _feature(store: FeatureStore, text: str) -> tuple[Dictionary, Feature]:
        name, _, index = text.rpartition(":")
        dictionary = find_dictionary(store, name)
        return dictionary, find_feature(store, dictionary, index)

    def query(self) -> str:
        """As an address within the text's own."""
        values = {
            "site": self.site.name if self.feature is None else None,
            "from": None if self.first is None else self.first + 1,
            "to": None if self.last is None else self.last + 1,
            "feature": self.feature and f"{self.feature[0].name}:{self.feature[1].index}",
        }
        return "?" + urlencode({name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True)
class TextPage:
    """`address`: of this page; `notice`: why nothing was read; `on`: there is a worker; `starting`: it loads the model.

    No `reading` where there is no text, or no worker that is ready.
    """

    text: str
    address: str
    limit: int
    sites: tuple[Site, ...]
    site: Site
    dictionaries: tuple[Dictionary, ...]  # of the site
    on: bool
    starting: bool
    notice: str
    reading: TextView | None


@router.get("")
def text_form(request: Request) -> Response:
    store = current_store(request)
    live = state(request).live
    notice = OFF if live is None else live.status.message
    return show(request, store, "", Choice.parse(store, request.query_params), notice, None)


@router.post("")
def text_sent(request: Request, text: Annotated[str, Form()] = "", site: Annotated[str, Form()] = "") -> Response:
    """To the text's own address, which is the one to share."""
    store = current_store(request)
    address = text_url(text.replace("\r\n", "\n"))
    known = {one.name for one in store.sites()[1:]}
    return RedirectResponse(f"{address}?{urlencode({'site': site})}" if site in known else address, 303)


@router.get("/{code}")
async def text_page(request: Request, code: str) -> Response:
    text = decode(code)
    store, choice = await run_in_threadpool(_asked, request)
    live = state(request).live
    if live is None:
        return await run_in_threadpool(show, request, store, text, choice, OFF, None)
    if live.status.state == "starting":
        return await run_in_threadpool(show, request, store, text, choice, STARTING, None, 202)
    try:
        state(request).live_limit.take(client_of(request))
        read = await answered(request, live, question(text, choice))
        if choice.feature is None:  # something to see at once: what fires most on these tokens
            choice = replace(choice, feature=await run_in_threadpool(strongest, store, read))
            read = await answered(request, live, question(text, choice))
    except Unavailable as error:
        return await run_in_threadpool(show, request, store, text, choice, str(error), None, error.status)
    return await run_in_threadpool(show, request, store, text, choice, "", read)


async def answered(request: Request, live: Live, reading: Reading) -> Read:
    """Wait for the answer; called off once the reader has gone, or has waited too long. Raises as `Live.wait` does."""
    waiting = asyncio.wrap_future(live.submit(reading.question()))
    give_up = time.monotonic() + live.limits.patience_seconds
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
            if not waiting.done() and await request.is_disconnected():
                raise Conflict(GONE)
            if not waiting.done() and time.monotonic() > give_up:
                raise live.late()
        return Read.of(waiting.result())
    finally:
        waiting.cancel()


def question(text: str, choice: Choice) -> Reading:
    chosen = () if choice.feature is None else ((choice.feature[0].name, choice.feature[1].index),)
    return Reading(text, choice.site.name, choice.first, choice.last, chosen)


def strongest(store: FeatureStore, read: Read) -> tuple[Dictionary, Feature] | None:
    """What fires most in the first trained dictionary, or else in the first one; None where nothing fires."""
    found = [store.dictionary(name) for name, strong in read.strongest.items() if strong]
    for dictionary in sorted(found, key=lambda one: not one.trained):
        return dictionary, store.feature(dictionary, read.strongest[dictionary.name][0].feature)
    return None


def show(
    request: Request,
    store: FeatureStore,
    text: str,
    choice: Choice,
    notice: str,
    read: Read | None,
    status: int | None = None,
) -> Response:
    live, path = state(request).live, request.url.path
    context = TextPage(
        text=text,
        address=f"{path}?{request.url.query}" if request.url.query else path,
        limit=MAX_CHARACTERS,
        sites=tuple(store.sites()),
        site=choice.site,
        dictionaries=tuple(one for one in store.dictionaries() if one.site_id == choice.site.id),
        on=live is not None,
        starting=live is not None and notice == STARTING,
        notice=notice,
        reading=None if read is None else view(store, read, choice.first, choice.last, choice.feature),
    )
    return render(request, "browse/text.html", context, status=status or (503 if text and read is None else 200))


def _asked(request: Request) -> tuple[FeatureStore, Choice]:
    store = current_store(request)
    return store, Choice.parse(store, request.query_params)
