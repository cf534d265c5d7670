"""The web application over a frozen study, and the people who use it: what the tests of routes share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from httpx import Response
from starlette.testclient import TestClient

from app.freeze import prepare
from app.main import create_app
from app.settings import Settings
from app.store.features import FeatureStore
from app.store.study import StudyStore
from app.study.frozen import FrozenStudy
from app.study.protocol import Protocol
from tests.studies import SetClock, counted_tokens

BASE = "http://127.0.0.1:8000"
STUDY = "clear"
SOLO, PAIRS = 3, 5  # solo pages: one for each of three arms


def protocol(store: FeatureStore, **changes: Any) -> Protocol:
    """A small study of a store: its first trained and its first untrained dictionary, and null pages."""
    trained, random = (next(d.name for d in store.dictionaries() if d.trained is kind) for kind in (True, False))
    return Protocol.model_validate(
        {
            "name": STUDY,
            "title": "How clear are these pages?",
            "seed": 1,
            "arm": [
                {"name": "learned", "dictionaries": [trained]},
                {"name": "drawn", "dictionaries": [random]},
                {"name": "scrambled", "control": "null"},
            ],
            "tasks": {"page": {"features": 1}, "pair": {"pairs": PAIRS, "contrasts": [["learned", "drawn"]]}},
            **changes,
        }
    )


@lru_cache
def frozen(data: Path) -> FrozenStudy:
    """The study of a data folder, ready to be stored: worked out once a run, with fixed secrets."""
    store = FeatureStore(data / "features.sqlite")
    try:
        return prepare(protocol(store), store, counted_tokens("study"))
    finally:
        store.close()


@dataclass
class Web:
    """An application over a data folder of its own, with one open study."""

    app: FastAPI
    data: Path
    clock: SetClock
    name: str = STUDY

    @property
    def study(self) -> StudyStore:
        store: StudyStore = self.app.state.study
        return store

    def visitor(self, *, base: str = BASE, **options: Any) -> TestClient:
        """Somebody whom nobody knows yet."""
        return TestClient(self.app, base_url=base, follow_redirects=False, **options)

    def staff(self, role: Any = "admin") -> TestClient:
        client = self.visitor()
        token = self.study.login_link(role, f"an {role}", 10, "test")
        assert client.post(f"/login/{token}").status_code == 303
        return client

    def invite(self, label: str = "Ada", days: int = 30) -> str:
        """The path of a fresh rater's invite."""
        rater = self.study.add_rater(self.name, label, "test")
        return f"/invite/{self.study.invite(self.name, rater.id, days, 'test')}"

    def rater(self, label: str = "Ada", *, started: bool = True) -> TestClient:
        """A rater who has opened an invite and agreed to take part; `started`: and left the instructions."""
        client = self.visitor()
        assert client.get(self.invite(label)).status_code == 303
        assert client.post("/rate/consent").status_code == 303
        if started:
            assert client.post("/rate/start").status_code == 303
        return client


@lru_cache
def study_file(data: Path) -> bytes:
    """A study store with the frozen study in it, as a file: made once a run, since making it takes a second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.sqlite"
        store = StudyStore.open(f"sqlite:///{path}", clock=SetClock(), token=counted_tokens())
        store.freeze(frozen(data), "test")
        store.dispose()
        return path.read_bytes()


@contextmanager
def serve(small_store: Path, folder: Path, **settings: Any) -> Iterator[Web]:
    """An application over the small store and an open study in `folder`; both are put there where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "features.sqlite").exists():
        (folder / "features.sqlite").symlink_to(small_store / "features.sqlite")
    if not (folder / "study.sqlite").exists():
        (folder / "study.sqlite").write_bytes(study_file(small_store))
    with _application(folder, STUDY, **settings) as web:
        yield web


@contextmanager
def serve_frozen(study: FrozenStudy, folder: Path) -> Iterator[Web]:
    """An application over a study alone, without a feature store."""
    with _application(folder, study.name) as web:
        web.study.freeze(study, "test")
        yield web


@contextmanager
def _application(folder: Path, name: str, **settings: Any) -> Iterator[Web]:
    clock = SetClock()
    app = create_app(Settings(data=folder, **settings), clock=clock, token=counted_tokens())
    try:
        yield Web(app, folder, clock, name)
    finally:
        app.state.study.dispose()


ANSWERS: dict[str, object] = {
    "score": 3,
    "explanation": "words",
    "confidence": 2,
    "left": 2,
    "right": 4,
    "choice": "right",
    "pick": 2,
    "guess": "unknown",
}


@dataclass(frozen=True)
class Form:
    """The answer form of a screen."""

    action: str
    task: str
    revision: str
    asked: tuple[str, ...]  # names of the fields to fill in, in order

    def filled(self, **values: object) -> dict[str, str]:
        """The form with an answer in it. Of `values`, those count that it asks for, and those of no answer."""
        given = {name: ANSWERS[name] for name in self.asked}
        given |= {name: value for name, value in values.items() if name in self.asked or name not in ANSWERS}
        return {"task": self.task, "revision": self.revision} | {name: str(value) for name, value in given.items()}


def answer_form(response: Response) -> Form | None:
    """The form in a page; None where it asks nothing."""
    action = re.search(r'action="(/rate/(?:practice/)?[0-9a-f]{24})"', response.text)
    if action is None:
        return None
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w*)">', response.text))
    asked = dict.fromkeys(re.findall(rf'name="({"|".join(ANSWERS)})"', response.text))
    return Form(action[1], fields["task"], fields["revision"], tuple(asked))


def current_form(client: TestClient) -> Form:
    form = answer_form(client.get("/rate"))
    assert form is not None, "there is no question on this screen"
    return form


def answer(client: TestClient, **values: Any) -> Form:
    """Answer the current screen as a browser without JavaScript does; returns the form that was sent."""
    form = current_form(client)
    sent = client.post(form.action, data=form.filled(**values))
    assert (sent.status_code, sent.headers["location"]) == (303, "/rate")
    return form


def message(response: Response) -> str:
    """The sentence of an error page."""
    (found,) = re.findall(r"<p[^>]* data-message[^>]*>(.*?)</p>", response.text)
    return str(found)
