"""Real processes that race for the last places of a small study."""

import multiprocessing
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

from app.store.sealed import final_answers
from app.store.study import StudyStore
from tests.studies import any_answer, frozen_study

# One clean process loads the code once; the racers are forked from it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.test_study_races"])
PROCESSES, RATERS_EACH, ITEMS, K = 8, 2, 6, 3


def rate(url: str, raters: list[int], barrier, answers) -> None:
    """Answer whatever comes for these raters in turn; each answer is sent twice, as after a lost reply."""
    store = StudyStore.open(url)
    people = [store.rater(rater_id) for rater_id in raters]
    barrier.wait()
    count = 0
    while people:
        for person in list(people):
            screen = store.screen(person)
            if screen is None:
                people.remove(person)
                continue
            for _ in range(2):
                store.submit(person, screen.public_id, screen.revision, any_answer(screen, count), None, False)
            count += 1
    store.dispose()
    answers.put(count)


def test_places_are_given_out_exactly(url: str) -> None:
    store = StudyStore.open(url)
    study = store.freeze(frozen_study(pages=3, pairs=ITEMS - 3, raters_per_item=K), "ada")
    raters = [store.add_rater("small", f"r{n}", "ada").id for n in range(PROCESSES * RATERS_EACH)]
    barrier, answers = CONTEXT.Barrier(PROCESSES), CONTEXT.Queue()
    workers = [
        CONTEXT.Process(target=rate, args=(url, raters[number::PROCESSES], barrier, answers))
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    finals = final_answers(store, study)
    assert sum(answers.get(timeout=5) for _ in workers) == len(finals) == ITEMS * K
    assert set(Counter(final.item for final in finals).values()) == {K}
    assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(K, ITEMS)]
    store.dispose()


def open_at_once(url: str, barrier, versions) -> None:
    barrier.wait()
    store = StudyStore.open(url)
    versions.put(store.studies())
    store.dispose()


def test_processes_that_make_the_store_at_once(url: str) -> None:
    barrier, versions = CONTEXT.Barrier(4), CONTEXT.Queue()
    workers = [CONTEXT.Process(target=open_at_once, args=(url, barrier, versions)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [versions.get(timeout=5) for _ in workers] == [[]] * 4


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    StudyStore.open(f"sqlite:///{path}").dispose()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as maker:
        maker.execute("PRAGMA journal_mode=DELETE")  # as a new file is
        maker.execute("BEGIN IMMEDIATE")
        done = threading.Timer(0.3, maker.execute, ["COMMIT"])
        done.start()
        store = StudyStore.open(f"sqlite:///{path}")
        done.join()
    assert store.studies() == []
    store.dispose()
