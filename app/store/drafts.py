"""Study files that are still being written, on the admin's page. Freezing one makes a study; the draft stays as it was."""

import re
from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from app.errors import Conflict, NotFound, UserError
from app.store import study_schema as t
from app.store.base import StoreBase
from app.store.records import Draft

LONGEST_DRAFT = 40_000  # characters
LONGEST_NAME = 60
NAME = re.compile(rf"(?=.{{1,{LONGEST_NAME}}}$)[a-z0-9]+(-[a-z0-9]+)*")


class Drafts(StoreBase):
    def drafts(self) -> list[Draft]:
        """Every draft, the one saved last first."""
        with self._reading() as connection:
            rows = connection.execute(_query().order_by(t.draft.c.updated_at.desc(), t.draft.c.id.desc())).all()
        return [Draft(*row) for row in rows]

    def draft(self, name: str) -> Draft:
        with self._reading() as connection:
            row = connection.execute(_query().where(t.draft.c.name == name)).one_or_none()
        if row is None:
            raise NotFound(f"There is no draft “{name}”; choose one from the list of studies.")
        return Draft(*row)

    def new_draft(self, name: str, text: str, actor: str) -> Draft:
        """Raises UserError where the name or the text cannot be one, Conflict where the name is taken."""
        if not NAME.fullmatch(name):
            raise UserError(
                f"A draft's name is up to {LONGEST_NAME} small letters, digits and single hyphens; give another one."
            )
        _check(text)
        with self._writing() as connection:
            taken = connection.execute(select(t.draft.c.id).where(t.draft.c.name == name)).first()
            if taken is not None:
                raise Conflict(f"There is a draft “{name}” already; open it, or choose another name.")
            connection.execute(insert(t.draft).values(name=name, text=text, updated_at=self.clock(), who=actor))
            self._audit(connection, actor, "new draft", draft=name)
        return self.draft(name)

    def save_draft(self, name: str, text: str, actor: str) -> Draft:
        """Replace a draft's text. Raises NotFound, UserError."""
        _check(text)
        with self._writing() as connection:
            saved = connection.execute(
                update(t.draft).where(t.draft.c.name == name).values(text=text, updated_at=self.clock(), who=actor)
            ).rowcount
        if not saved:
            raise NotFound(f"There is no draft “{name}”; choose one from the list of studies.")
        return self.draft(name)

    def delete_draft(self, name: str, actor: str) -> None:
        """Raises NotFound."""
        with self._writing() as connection:
            if not connection.execute(delete(t.draft).where(t.draft.c.name == name)).rowcount:
                raise NotFound(f"There is no draft “{name}”; choose one from the list of studies.")
            self._audit(connection, actor, "delete draft", draft=name)


def _query() -> Select[Any]:
    c = t.draft.c
    return select(c.name, c.text, c.updated_at, c.who)


def _check(text: str) -> None:
    if len(text) > LONGEST_DRAFT or "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"A draft can have {LONGEST_DRAFT} characters, without NUL and halves of characters.")
