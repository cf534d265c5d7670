"""Where ratings are written: appended to the study's hash chain, in the transaction that accepts them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from app.store import study_schema as t
from app.store.base import StoreBase
from app.store.records import Rater
from app.store.rules import Item
from app.study import chain
from app.study.answers import Answer, to_json

LONGEST_MS = 2**31 - 1  # what an INTEGER holds; 24 days


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer as it came: to which question, as which revision of it, and when."""

    public_id: str
    revision: int
    answer: Answer
    visible_ms: int | None
    staff: bool
    at: datetime


class Ledger(StoreBase):
    def _append(
        self,
        connection: Connection,
        rater: Rater,
        item: Item,
        assignment: Row[Any],
        sent: Sent,
        state: str,
    ) -> None:
        """Write one revision at the end of the chain of a study that this transaction has locked."""
        number, previous = self._head(connection, rater.study_id)
        content = chain.content(
            rater=rater.pseudonym,
            item=item.public_id,
            repeat=assignment.repeat,
            position=assignment.position,
            flip=assignment.flip,
            revision=sent.revision,
            state=state,
            answer=to_json(sent.answer),
            server_ms=_milliseconds((sent.at - assignment.served_at) // timedelta(milliseconds=1)),
            visible_ms=None if sent.visible_ms is None else _milliseconds(sent.visible_ms),
            staff=sent.staff,
            at=sent.at,
        )
        salt = self.token()
        hashed = chain.content_hash(salt, content)
        connection.execute(
            insert(t.rating).values(
                assignment_id=assignment.id,
                study_id=rater.study_id,
                number=number + 1,
                revision=sent.revision,
                answer=content["answer"],
                server_ms=content["server_ms"],
                visible_ms=content["visible_ms"],
                staff=sent.staff,
                at=sent.at,
                counted=state,
                salt=salt,
                previous=previous,
                content_hash=hashed,
                hash=chain.link(previous, number + 1, hashed),
            )
        )

    def _head(self, connection: Connection, study_id: int) -> tuple[int, str]:
        """How many ratings a study has, and the last one's hash."""
        r = t.rating.c
        last = connection.execute(
            select(r.number, r.hash).where(r.study_id == study_id).order_by(r.number.desc()).limit(1)
        ).one_or_none()
        if last is not None:
            return int(last.number), str(last.hash)
        query = select(t.study.c.protocol_hash).where(t.study.c.id == study_id)
        return 0, str(connection.execute(query).scalar_one())

    def _revisions(self, connection: Connection, assignment_id: int) -> list[Row[Any]]:
        query = select(t.rating).where(t.rating.c.assignment_id == assignment_id).order_by(t.rating.c.revision)
        return list(connection.execute(query))


def _milliseconds(value: int) -> int:
    return min(max(value, 0), LONGEST_MS)
