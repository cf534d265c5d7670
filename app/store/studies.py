"""Studies and their raters: freeze, pause, close, open the round of guesses, reveal; add a rater; the audit log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.errors import Conflict, NotFound, UserError
from app.store import study_schema as t
from app.store.base import StoreBase, sha256
from app.store.records import AuditEntry, Rater, State, Study
from app.study.blinding import content_hash, key_row, seal
from app.study.frozen import FrozenItem, FrozenStudy

LONGEST_LABEL = 200


class Studies(StoreBase):
    def freeze(self, frozen: FrozenStudy, actor: str) -> Study:
        """Store a frozen study in one transaction and open it. Raises Conflict where its name is taken."""
        try:
            with self._writing() as connection:
                study_id = connection.execute(
                    insert(t.study)
                    .values(
                        name=frozen.name,
                        title=frozen.title,
                        instructions=frozen.instructions,
                        state="open",
                        protocol=frozen.protocol,
                        protocol_hash=frozen.protocol_hash,
                        secret=frozen.secret,
                        key_salt=frozen.key_salt,
                        key_commitment=frozen.key_commitment,
                        report=frozen.report,
                        created_at=self.clock(),
                    )
                    .returning(t.study.c.id)
                ).scalar_one()
                for item in frozen.items:
                    insert_item(connection, study_id, *_frozen_item(item, frozen.key_salt))
                self._audit(connection, actor, "freeze", study_id, protocol_hash=frozen.protocol_hash)
        except IntegrityError as error:
            self.check_name_is_free(frozen.name)
            raise error
        return self.study(frozen.name)

    def has_study(self, name: str) -> bool:
        with self._reading() as connection:
            return bool(connection.execute(select(exists().where(t.study.c.name == name))).scalar_one())

    def check_name_is_free(self, name: str) -> None:
        if self.has_study(name):
            raise Conflict(f"There is a study “{name}” already, and none changes once frozen; choose another name.")

    def studies(self) -> list[Study]:
        """Every study, newest first."""
        with self._reading() as connection:
            return [_study(row) for row in connection.execute(_study_query().order_by(t.study.c.id.desc()))]

    def study(self, name: str) -> Study:
        with self._reading() as connection:
            row = connection.execute(_study_query().where(t.study.c.name == name)).one_or_none()
        if row is None:
            raise NotFound(self._unknown(name))
        return _study(row)

    def report(self, name: str) -> dict[str, Any]:
        """What freezing drew and left out, arm by arm. It names arms: for staff, never for a rater."""
        with self._reading() as connection:
            report = connection.execute(select(t.study.c.report).where(t.study.c.name == name)).scalar_one_or_none()
        if report is None:
            raise NotFound(self._unknown(name))
        return dict(report)

    def any_open(self) -> bool:
        """Whether somebody may still rate: what the other pages show would unblind them."""
        with self._reading() as connection:
            fresh = exists().where(t.item.c.study_id == t.study.c.id, t.item.c.purpose == "guess")
            ahead = and_(t.study.c.state == "closed", fresh)  # its round of guesses is still to come
            rated = exists().where(or_(t.study.c.state.in_(("open", "paused", "guessing")), ahead))
            return bool(connection.execute(select(rated)).scalar_one())

    def pause(self, name: str, actor: str) -> Study:
        """Ask no further question for now; answers to those that were asked are still taken. Raises Conflict."""
        return self._move(name, actor, "pause", ("open",), "paused", "is not open; only an open study can be paused")

    def resume(self, name: str, actor: str) -> Study:
        """Go on after a pause. Raises Conflict."""
        return self._move(name, actor, "resume", ("paused",), "open", "is not paused, so there is nothing to resume")

    def close(self, name: str, actor: str) -> Study:
        """Stop accepting ratings, for good. Raises Conflict where it is closed already."""
        otherwise = "is not open; only an open study can be closed"
        return self._move(name, actor, "close", ("open", "paused"), "closed", otherwise)

    def open_guessing(self, name: str, actor: str) -> Study:
        """Begin the round of guesses on fresh pages. Raises Conflict where it is not closed, or has no such pages."""
        study = self.study(name)
        with self._reading() as connection:
            fresh = exists().where(t.item.c.study_id == study.id, t.item.c.purpose == "guess")
            if not connection.execute(select(fresh)).scalar_one():
                raise Conflict(f"The study “{name}” was frozen without pages to guess on; guess.pages says how many.")
        otherwise = "is not closed; the round of guesses comes after the close"
        return self._move(name, actor, "open guessing", ("closed",), "guessing", otherwise)

    def reveal(self, name: str, actor: str) -> Study:
        """Open the key, for good. Raises Conflict where the study is still open, or revealed already."""
        otherwise = "is not closed; close it first, since a reveal ends all rating"
        return self._move(name, actor, "reveal", ("closed", "guessing"), "revealed", otherwise)

    def _move(self, name: str, actor: str, what: str, before: tuple[State, ...], after: State, otherwise: str) -> Study:
        study = self.study(name)
        values: dict[str, Any] = {"state": after}
        if after in ("closed", "guessing", "revealed"):
            values[f"{after}_at"] = self.clock()
        with self._writing() as connection:
            moved = connection.execute(
                update(t.study).where(t.study.c.id == study.id, t.study.c.state.in_(before)).values(values)
            ).rowcount
            if not moved:
                now = connection.execute(select(t.study.c.state).where(t.study.c.id == study.id)).scalar_one()
                if now == after:
                    otherwise = f"is {after} already"
                raise Conflict(f"The study “{name}” {otherwise}.")
            self._audit(connection, actor, what, study.id)
        return self.study(name)

    def add_rater(self, study: str, label: str, actor: str, source: str = "invite") -> Rater:
        """A new rater under a random pseudonym. `source` is "simulated" for one who is no person.

        Raises NotFound, Conflict where the study is not open, UserError.
        """
        _check_label(label)
        found = self.study(study)
        if found.state not in ("open", "paused"):
            raise Conflict(f"The study “{study}” is {found.state}; a rater can join an open study only.")
        with self._writing() as connection:
            rater_id = connection.execute(
                insert(t.rater)
                .values(
                    study_id=found.id,
                    pseudonym=f"r-{sha256(self.token())[:12]}",
                    label=label.strip(),
                    source=source,
                    created_at=self.clock(),
                )
                .returning(t.rater.c.id)
            ).scalar_one()
            self._audit(connection, actor, "add rater", found.id, rater=rater_id)
        return self.rater(rater_id)

    def rater(self, rater_id: int) -> Rater:
        with self._reading() as connection:
            row = connection.execute(rater_query().where(t.rater.c.id == rater_id)).one_or_none()
        if row is None:
            raise NotFound("There is no such rater; choose one from the study's page.")
        return Rater(**row._mapping)

    def audit(self, study: str | None = None) -> list[AuditEntry]:
        """What was done by whom, newest first; of one study, or of all."""
        query = select(t.audit, t.study.c.name).outerjoin(t.study, t.study.c.id == t.audit.c.study_id)
        if study is not None:
            query = query.where(t.audit.c.study_id == self.study(study).id)
        with self._reading() as connection:
            return [
                AuditEntry(row.at, row.who, row.what, row.name, row.detail)
                for row in connection.execute(query.order_by(t.audit.c.id.desc()))
            ]

    def _unknown(self, name: str) -> str:
        with self._reading() as connection:
            names = connection.execute(select(t.study.c.name).order_by(t.study.c.name)).scalars().all()
        known = f"there are {', '.join(names)}" if names else "`dartboard study new STUDY.toml` makes the first one"
        return f"There is no study “{name}”; {known}."


def _study_query() -> Select[Any]:
    items = select(func.count()).where(t.item.c.study_id == t.study.c.id).scalar_subquery()
    c = t.study.c
    return select(
        c.id,
        c.name,
        c.title,
        c.state,
        c.instructions,
        c.protocol,
        c.protocol_hash,
        c.key_commitment,
        items.label("items"),
        c.created_at,
        c.closed_at,
        c.guessing_at,
        c.revealed_at,
    )


def _study(row: Row[Any]) -> Study:
    return Study(**{**row._mapping, "protocol": _parsed(row.protocol)})


@lru_cache(maxsize=64)
def _parsed(protocol: str) -> dict[str, Any]:
    """The canonical JSON of a study, which never changes; whoever reads it must not change it either."""
    return dict(json.loads(protocol))


def rater_query() -> Select[Any]:
    """The columns of `Rater`."""
    c = t.rater.c
    return select(c.id, c.study_id, t.study.c.name.label("study"), c.pseudonym, c.label, c.started_at).join(
        t.study, t.study.c.id == c.study_id
    )


def insert_item(
    connection: Connection, study_id: int, item: Mapping[str, Any], key: Sequence[Mapping[str, Any]]
) -> int:
    """Write an item and its rows of the key, given by the names of their columns; returns its id."""
    query = insert(t.item).values(study_id=study_id, **item).returning(t.item.c.id)
    item_id = int(connection.execute(query).scalar_one())
    if key:
        connection.execute(insert(t.item_key), [{"item_id": item_id, **row} for row in key])
    return item_id


def _frozen_item(item: FrozenItem, salt: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of an item, and of its rows of the key with their seals."""
    shown = item.shown()
    hashed = content_hash(shown)
    public_id = shown.pop("item")
    rows = [{**asdict(row), "seal": seal(salt, key_row(public_id, row, hashed))} for row in item.key]
    return {"public_id": public_id, "content_hash": hashed, **shown}, rows


def _check_label(label: str) -> None:
    if not label.strip() or len(label) > LONGEST_LABEL or not label.isprintable():
        raise UserError(f"A rater's name should be 1 to {LONGEST_LABEL} printable characters; give another one.")
