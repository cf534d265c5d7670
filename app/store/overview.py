"""How far a study is, for its admin: items by their ratings, raters with pace, checks and repeats. Blind to arms."""

from collections import defaultdict
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select
from sqlalchemy.orm import aliased

from app.store import study_schema as t
from app.store.ledger import Ledger
from app.store.records import ChainHead, InviteState, ItemProgress, Rater, RaterProgress
from app.store.studies import Studies, rater_query
from app.study.answers import Answer, IntruderAnswer, PageAnswer, PairAnswer, from_json, right


class Overview(Studies, Ledger):
    def item_progress(self, study: str) -> list[ItemProgress]:
        """How many main items have 0, 1, … accepted ratings."""
        found = self.study(study)
        i = t.item.c
        query = (
            select(i.accepted, func.count())
            .where(i.study_id == found.id, i.purpose == "main")
            .group_by(i.accepted)
            .order_by(i.accepted)
        )
        with self._reading() as connection:
            return [ItemProgress(ratings, items) for ratings, items in connection.execute(query)]

    def chain_head(self, study: str) -> ChainHead:
        """Where the chain of a study's ratings ends now."""
        found = self.study(study)
        with self._reading() as connection:
            return ChainHead(*self._head(connection, found.id))

    def raters(self, study: str) -> list[RaterProgress]:
        """A study's raters in the order in which they joined."""
        found = self.study(study)
        i, r = t.item.c, t.rating.c
        with self._reading() as connection:
            raters = connection.execute(
                rater_query()
                .add_columns(t.rater.c.source, t.rater.c.finished_at, t.rater.c.withdrawn_at, t.rater.c.released_at)
                .add_columns(t.rater.c.completion_code, t.platform_id.c.participant)
                .outerjoin(t.platform_id, t.platform_id.c.rater_id == t.rater.c.id)
                .where(t.rater.c.study_id == found.id)
                .order_by(t.rater.c.id)
            ).all()
            first = _answers(found.id).add_columns(r.server_ms, r.at).where(r.revision == 1, i.purpose != "practice")
            paces: dict[int, list[int]] = defaultdict(list)
            last: dict[int, Any] = {}
            done: dict[int, int] = defaultdict(int)
            for row in connection.execute(first):
                paces[row.rater_id].append(row.server_ms)
                last[row.rater_id] = max(row.at, last.get(row.rater_id, row.at))
                done[row.rater_id] += 1
            catch = self._catch(connection, found.id)
            repeats = self._repeats(connection, found.id)
            invites = self._invites(connection, found.id)
        return [
            RaterProgress(
                rater=Rater(**{name: row._mapping[name] for name in Rater.__dataclass_fields__}),
                done=done[row.id],
                last_at=last.get(row.id),
                invite=self._invite_state(invites.get(row.id)),
                invite_expires_at=invites[row.id].expires_at if row.id in invites else None,
                source=row.source,
                pace_ms=round(median(paces[row.id])) if row.id in paces else None,
                catch_right=catch.get(row.id, (0, 0))[0],
                catch_shown=catch.get(row.id, (0, 0))[1],
                repeats_same=repeats.get(row.id, (0, 0))[0],
                repeats_shown=repeats.get(row.id, (0, 0))[1],
                finished_at=row.finished_at,
                withdrawn_at=row.withdrawn_at,
                released_at=row.released_at,
                completion_code=row.completion_code,
                participant=row.participant,
            )
            for row in raters
        ]

    def _catch(self, connection: Connection, study_id: int) -> dict[int, tuple[int, int]]:
        """By rater: how many catch items were answered rightly, and how many were answered."""
        i = t.item.c
        query = _answers(study_id).add_columns(t.rating.c.answer, i.task, i.expected).where(i.purpose == "catch")
        found: dict[int, tuple[int, int]] = {}
        for row in connection.execute(query.where(_is_latest())):
            good, shown = found.get(row.rater_id, (0, 0))
            found[row.rater_id] = good + right(from_json(row.task, row.answer), row.expected), shown + 1
        return found

    def _repeats(self, connection: Connection, study_id: int) -> dict[int, tuple[int, int]]:
        """By rater: how many repeated items got the same score, choice or pick again, and how many were repeated."""
        i, a = t.item.c, t.assignment.c
        query = _answers(study_id).add_columns(t.rating.c.answer, i.task, a.item_id, a.flip).where(i.purpose == "main")
        again = aliased(t.assignment)
        twice = select(again.c.item_id).where(again.c.rater_id == a.rater_id, again.c.repeat == 1)
        given: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for row in connection.execute(query.where(_is_latest(), a.item_id.in_(twice))):
            given[row.rater_id, row.item_id].append(_gist(from_json(row.task, row.answer), row.flip))
        found: dict[int, tuple[int, int]] = {}
        for (rater_id, _), answers in given.items():
            if len(answers) == 2:
                same, shown = found.get(rater_id, (0, 0))
                found[rater_id] = same + (answers[0] == answers[1]), shown + 1
        return found

    def _invites(self, connection: Connection, study_id: int) -> dict[int, Row[Any]]:
        """The latest invite of each rater."""
        query = (
            select(t.invite)
            .join(t.rater, t.rater.c.id == t.invite.c.rater_id)
            .where(t.rater.c.study_id == study_id)
            .order_by(t.invite.c.id)
        )
        return {row.rater_id: row for row in connection.execute(query)}

    def _invite_state(self, invite: Row[Any] | None) -> InviteState:
        if invite is None:
            return "none"
        if invite.revoked_at:
            return "revoked"
        return "live" if self.clock() < invite.expires_at else "expired"


def _answers(study_id: int) -> Select[Any]:
    """Ratings of a study that were not withdrawn, by rater."""
    return (
        select(t.assignment.c.rater_id)
        .select_from(t.rating)
        .join(t.assignment, t.assignment.c.id == t.rating.c.assignment_id)
        .join(t.item, t.item.c.id == t.assignment.c.item_id)
        .where(t.rating.c.study_id == study_id, t.rating.c.withdrawn_at.is_(None))
    )


def _is_latest() -> Any:
    later = aliased(t.rating)
    return ~(
        select(later.c.id)
        .where(later.c.assignment_id == t.rating.c.assignment_id, later.c.revision > t.rating.c.revision)
        .exists()
    )


def _gist(answer: Answer, flip: bool) -> Any:
    """What a repeat should give again: the score, the choice by page (not by side), the pick; or a skip."""
    match answer:
        case PageAnswer():
            return answer.score
        case IntruderAnswer():
            return answer.pick
        case PairAnswer():
            mirrored = {"left": "right", "right": "left"}
            return mirrored.get(answer.choice, answer.choice) if flip else answer.choice
        case _:
            return "skip"
