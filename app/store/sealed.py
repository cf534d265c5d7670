"""The one module that reads the item→arm key, and the final answers that it is joined to in an export.

No rater's route may reach this: a test reads the source, and another takes the table away while raters rate.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select

from app.errors import Conflict
from app.store import study_schema as t
from app.store.engine import reading
from app.store.study import Study, StudyStore
from app.study.answers import Answer, IntruderAnswer, PageAnswer, PairAnswer, Task, from_json
from app.study.frozen import KeyRow

BATCH = 500  # rows held at a time


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The last revision of an accepted answer, and how its item was shown."""

    rater: str  # pseudonym
    item: str
    purpose: str
    task: Task  # "guess" for the guess on an item of the guessing round
    position: int
    repeat: int  # 1 where the item came a second time
    flip: bool  # page "b" stood left
    revision: int
    answer: Answer
    server_ms: int
    visible_ms: int | None
    staff: bool
    at: datetime
    expected: dict[str, Any] | None  # the right answer to a catch item


def final_answers(store: StudyStore, study: Study) -> list[FinalAnswer]:
    """All of `stream_answers`."""
    return list(stream_answers(store, study))


def stream_answers(store: StudyStore, study: Study, items: Collection[int] | None = None) -> Iterator[FinalAnswer]:
    """A study's accepted answers, by rater and in the order in which each was asked; practice and surplus are left out.

    `items`: only those to items of these ids.
    """
    newest = (
        select(t.rating.c.assignment_id, func.max(t.rating.c.revision).label("revision"))
        .where(t.rating.c.study_id == study.id)
        .group_by(t.rating.c.assignment_id)
        .subquery()
    )
    query = (
        select(
            t.rating,
            t.assignment.c.position,
            t.assignment.c.repeat,
            t.assignment.c.flip,
            t.rater.c.pseudonym,
            t.item.c.public_id,
            t.item.c.task,
            t.item.c.purpose,
            t.item.c.expected,
        )
        .join(newest, (newest.c.assignment_id == t.rating.c.assignment_id) & (newest.c.revision == t.rating.c.revision))
        .join(t.assignment, t.assignment.c.id == t.rating.c.assignment_id)
        .join(t.rater, t.rater.c.id == t.assignment.c.rater_id)
        .join(t.item, t.item.c.id == t.assignment.c.item_id)
        .where(t.item.c.study_id == study.id, t.item.c.purpose != "practice", t.assignment.c.state == "accepted")
        .order_by(t.rater.c.id, t.assignment.c.position)
    )
    if items is not None:
        query = query.where(t.item.c.id.in_(sorted(items)))
    with reading(store.engine) as connection:
        for row in connection.execution_options(yield_per=BATCH).execute(query):
            task: Task = "guess" if row.purpose == "guess" and row.repeat else row.task
            yield FinalAnswer(
                row.pseudonym,
                row.public_id,
                row.purpose,
                task,
                row.position,
                row.repeat if row.purpose == "main" else 0,
                row.flip,
                row.revision,
                from_json(task, row.answer),
                row.server_ms,
                row.visible_ms,
                row.staff,
                row.at,
                row.expected,
            )


@dataclass(frozen=True, slots=True)
class FeatureRatings:
    """What the raters of one revealed study said of one feature, first answers alone; skips are left out."""

    study: str
    title: str
    arm: str
    scores: tuple[int, ...]  # of its page, by itself and beside another
    picks: tuple[bool, ...]  # whether each intruder among its contexts was found
    explanations: tuple[str, ...]


def ratings_of(store: StudyStore, dictionary: str, feature: int, digest: str) -> tuple[FeatureRatings, ...]:
    """By study. Nothing of a study that is not revealed, or that was drawn from a feature store of another digest."""
    k = t.item_key.c
    query = (
        select(t.item.c.study_id, t.item.c.id, t.item.c.public_id, k.page, k.arm, k.stratum)
        .join(t.item, t.item.c.id == k.item_id)
        .join(t.study, t.study.c.id == t.item.c.study_id)
        .where(t.study.c.state == "revealed", k.dictionary == dictionary, k.feature == feature)
        .where(t.item.c.purpose == "main")
    )
    with reading(store.engine) as connection:
        rows = connection.execute(query).all()
    studies = {study.id: study for study in store.studies() if study.id in {row.study_id for row in rows}}
    mine = [study for study in studies.values() if study.protocol["feature_digest"] == digest]
    return tuple(
        _ratings(store, study, {row.public_id: row for row in rows if row.study_id == study.id}) for study in mine
    )


def _ratings(store: StudyStore, study: Study, keys: dict[str, Any]) -> FeatureRatings:
    scores: list[int] = []
    picks: list[bool] = []
    explanations: list[str] = []
    for found in stream_answers(store, study, [row.id for row in keys.values()]):
        row = keys[found.item]
        match found.answer:
            case _ if found.repeat:
                pass
            case PageAnswer(score=score, explanation=words):
                scores.append(score)
                explanations += [words] if words else []
            case PairAnswer(left=left, right=right):
                scores.append(left if (row.page == "a") != found.flip else right)
            case IntruderAnswer(pick=pick):
                picks.append(pick == row.stratum["intruder"])
    arm = next(iter(keys.values())).arm
    return FeatureRatings(study.name, study.title, arm, tuple(scores), tuple(picks), tuple(explanations))


def any_revealed(store: StudyStore) -> bool:
    """Whether some study's key is open, so that `ratings_of` may have something to tell."""
    with reading(store.engine) as connection:
        return bool(connection.execute(select(exists().where(t.study.c.state == "revealed"))).scalar_one())


def key(store: StudyStore, study: Study) -> dict[str, dict[str, KeyRow]]:
    """What each page of each item is, by the item's id and the page's name. Raises Conflict before the reveal."""
    return {
        item: {
            row["page"]: KeyRow(row["page"], row["arm"], row["dictionary"], row["feature"], row["stratum"])
            for row in rows
        }
        for item, rows in opened(store, study).rows.items()
    }


def key_salt(store: StudyStore, study: Study) -> str:
    """The salt of the key's commitment, for a check of it. Raises Conflict before the reveal."""
    return opened(store, study).salt


@dataclass(frozen=True, slots=True)
class Opened:
    """The key and the two secrets of a study. `rows`: by item, one a page, with its seal."""

    secret: str
    salt: str
    rows: dict[str, list[dict[str, Any]]]


def opened(store: StudyStore, study: Study) -> Opened:
    """The key of a revealed study. Raises Conflict before the reveal."""
    with reading(store.engine) as connection:
        state = connection.execute(select(t.study.c.state).where(t.study.c.id == study.id)).scalar_one()
    if state != "revealed":
        raise Conflict(f"The key of “{study.name}” is sealed until the study is revealed.")
    return unopened(store, study)


def unopened(store: StudyStore, study: Study) -> Opened:
    """The key whatever the study's state, for `dartboard study verify` alone, which says what was changed and no more."""
    k = t.item_key.c
    query = select(t.item.c.public_id, k.page, k.arm, k.dictionary, k.feature, k.stratum, k.seal)
    query = query.join(t.item, t.item.c.id == k.item_id).where(t.item.c.study_id == study.id)
    rows: dict[str, list[dict[str, Any]]] = {}
    with reading(store.engine) as connection:
        secrets = select(t.study.c.secret, t.study.c.key_salt).where(t.study.c.id == study.id)
        secret, salt = connection.execute(secrets).one()
        for found in connection.execute(query.order_by(t.item.c.public_id, k.page)):
            row = dict(found._mapping)
            rows.setdefault(row.pop("public_id"), []).append(row)
    return Opened(secret, salt, rows)
