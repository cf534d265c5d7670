"""One rater at several places at once, over real HTTP: a double click, two tabs, the back button."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app.store import study_schema as t
from app.store.study import StudyStore
from tests.faults.conftest import url_of
from tests.serving import serving
from tests.studies import frozen_study
from tests.web import answer_form

CLICKS = 8


@pytest.fixture
def rater(store: StudyStore, tmp_path: Path) -> Iterator[httpx.Client]:
    """A browser that has left the instructions of a real server's study: four items, one place each."""
    store.freeze(frozen_study(pages=4, pairs=0, raters_per_item=1), "ada")
    person = store.add_rater("small", "one", "ada")
    with (
        serving(tmp_path, variables={"DARTBOARD_STUDY_URL": url_of(store)}) as base,
        httpx.Client(base_url=base, timeout=60) as client,
    ):
        client.get(f"/invite/{store.invite('small', person.id, 1, 'ada')}")
        for step in ("/rate/consent", "/rate/start"):
            assert client.post(step).status_code == 303
        yield client


def at_once(calls: list) -> list[int]:
    """The status of each of several requests, sent at the same moment."""
    barrier, codes = threading.Barrier(len(calls)), []

    def run(call) -> None:
        barrier.wait()
        codes.append(call().status_code)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


def ratings(store: StudyStore) -> int:
    with store.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(t.rating)).scalar_one()


def test_double_click_two_tabs_and_the_back_button(rater: httpx.Client, store: StudyStore) -> None:
    first = answer_form(rater.get("/rate"))
    assert first is not None
    same = first.filled(score=4)
    assert at_once([lambda: rater.post(first.action, data=same)] * CLICKS) == [303] * CLICKS
    assert ratings(store) == 1, "clicks, however many, are one answer"

    tabs = [answer_form(rater.get("/rate")) for _ in range(CLICKS)]
    assert len({form.action for form in tabs if form}) == 1, "every tab shows the same question"
    second = tabs[0]
    assert second is not None
    calls = [
        lambda score=score: rater.post(second.action, data=second.filled(score=score)) for score in (1, 2, 3, 4, 5)
    ]
    assert Counter(at_once(calls)) == {303: 1, 409: 4}, "of different answers one is taken, the others are told"
    assert ratings(store) == 2

    claimed = at_once([lambda: rater.get("/rate")] * CLICKS)
    assert claimed == [200] * CLICKS
    with store.engine.connect() as connection:
        leased = select(func.count()).where(t.assignment.c.state == "leased")
        assert connection.execute(leased).scalar_one() == 1, "tabs that load at once claim one item"

    back = rater.post(first.action, data=first.filled(score=2))
    assert back.status_code == 409, "a page from the history changes nothing"
    assert rater.post(first.action, data=same).status_code == 303, "and may be sent once more as it was"
    assert ratings(store) == 2
