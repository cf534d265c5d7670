"""kill -9 of real servers in the middle of submissions, again and again: no accepted answer lost, none doubled."""

import asyncio
from pathlib import Path

import pytest

from app.store.study import StudyStore
from tests.crowd import Fleet, Person, Record, audit, everybody, invites
from tests.faults.conftest import url_of
from tests.studies import frozen_study

ITEMS, K, PEOPLE = 8, 3, 6


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """On PostgreSQL with the slow tests: its servers take their time to come back."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.mark.timeout(240)
def test_servers_that_die_in_the_middle_of_submissions(store: StudyStore, tmp_path: Path) -> None:
    """Two servers; at every eighth answer saved one of them dies and comes back. Real servers take seconds to start."""
    store.freeze(frozen_study(pages=ITEMS - 2, pairs=2, raters_per_item=K), "ada")
    record = Record()
    with Fleet(tmp_path, url_of(store), 2) as fleet:
        record.on_saved = lambda count: fleet.kill(count // 8 % 2) if count % 8 == 0 else None
        people = [Person(fleet, number, record) for number in range(PEOPLE)]

        async def live(person: Person, link: str) -> None:
            await person.enter(link)
            await person.rate()
            await person.leave()

        links = invites(store, "small", PEOPLE)
        asyncio.run(everybody([live(*pair) for pair in zip(people, links, strict=True)], PEOPLE))
        assert fleet.kills >= ITEMS * K // 8
    found = audit(store, "small", record)
    assert (found.accepted, found.over, found.doubled, found.lost) == (ITEMS * K, 0, 0, 0)
    assert found.faults == ()
    assert record.refused.total() == 0
