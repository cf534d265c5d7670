"""Who may do what: invites, one-time login links, sessions. Only the SHA-256 of a token is stored."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from app.errors import Gone, NotFound, UserError
from app.store import study_schema as t
from app.store.base import StoreBase, sha256
from app.store.records import Rater, Role, Session
from app.store.studies import rater_query

STAFF_SESSION = timedelta(days=7)
RATER_SESSION = timedelta(days=30)


class Access(StoreBase):
    def invite(self, study: str, rater_id: int, days: int, actor: str) -> str:
        """A token that lets its holder rate as this rater, on any device, until it expires or is revoked."""
        if not 1 <= days <= 3650:
            raise UserError(f"An invite can live 1 to 3650 days, not {days}; give another number.")
        token, now = self.token(), self.clock()
        with self._writing() as connection:
            study_id = connection.execute(
                select(t.rater.c.study_id)
                .join(t.study, t.study.c.id == t.rater.c.study_id)
                .where(t.rater.c.id == rater_id, t.study.c.name == study)
            ).scalar_one_or_none()
            if study_id is None:
                raise NotFound(f"The study “{study}” has no such rater; choose one from the study's page.")
            connection.execute(
                insert(t.invite).values(
                    token_hash=sha256(token),
                    rater_id=rater_id,
                    created_at=now,
                    expires_at=now + timedelta(days=days),
                )
            )
            self._audit(connection, actor, "invite", study_id, rater=rater_id, days=days)
        return token

    def revoke_invite(self, rater_id: int, actor: str) -> None:
        """Revoke all of a rater's invites and end the rater's sessions. Ratings stay. Raises NotFound."""
        with self._writing() as connection:
            row = connection.execute(select(t.rater.c.study_id).where(t.rater.c.id == rater_id)).one_or_none()
            if row is None:
                raise NotFound("There is no such rater; choose one from the study's page.")
            connection.execute(
                update(t.invite)
                .where(t.invite.c.rater_id == rater_id, t.invite.c.revoked_at.is_(None))
                .values(revoked_at=self.clock())
            )
            connection.execute(update(t.session).where(t.session.c.rater_id == rater_id).values(rater_id=None))
            self._audit(connection, actor, "revoke invite", row.study_id, rater=rater_id)

    def login_link(self, role: Role, name: str, minutes: int, actor: str) -> str:
        """A token that logs one person in, once."""
        token, now = self.token(), self.clock()
        with self._writing() as connection:
            connection.execute(
                insert(t.login_link).values(
                    token_hash=sha256(token),
                    role=role,
                    name=name,
                    created_at=now,
                    expires_at=now + timedelta(minutes=minutes),
                )
            )
            self._audit(connection, actor, "login link", role=role, name=name)
        return token

    def redeem_login(self, token: str, session_token: str | None) -> str:
        """A fresh session token for the holder of a login link; a rater in the old session is carried over.

        Raises NotFound where the link is mangled, Gone where it has expired or was used.
        """
        now = self.clock()
        with self._writing() as connection:
            link = connection.execute(
                select(t.login_link).where(t.login_link.c.token_hash == sha256(token))
            ).one_or_none()
            if link is None:
                raise NotFound("This login link is not one of ours, or was cut off; copy it whole.")
            if link.expires_at <= now:
                raise Gone("This login link has expired; make a new one with `dartboard login`.")
            used = connection.execute(
                update(t.login_link)
                .where(t.login_link.c.id == link.id, t.login_link.c.used_at.is_(None))
                .values(used_at=now)
            ).rowcount
            if not used:
                raise Gone("This login link was used already; make a new one with `dartboard login`.")
            old = self._take(connection, session_token)
            self._audit(connection, link.name, "login", role=link.role)
            return self._put(
                connection,
                role=link.role,
                name=link.name,
                was_staff=True,
                rater_id=old.rater_id if old else None,
                expires_at=now + STAFF_SESSION,
            )

    def redeem_invite(self, token: str, session_token: str | None) -> str:
        """A fresh session token for the holder of an invite; a staff role in the old session is carried over.

        Raises NotFound where the invite is mangled, Gone where it has expired or was revoked.
        """
        now = self.clock()
        with self._writing() as connection:
            invite = connection.execute(select(t.invite).where(t.invite.c.token_hash == sha256(token))).one_or_none()
            if invite is None:
                raise NotFound("This invite is not one of ours, or was cut off; copy the link whole.")
            if invite.revoked_at:
                raise Gone("This invite was revoked; ask the person who sent it for a new one.")
            if invite.expires_at <= now:
                raise Gone("This invite has expired; ask the person who sent it for a new one.")
            old = self._take(connection, session_token)
            return self._put(
                connection,
                role=old.role if old else None,
                name=old.name if old else "",
                was_staff=old.was_staff if old else False,
                rater_id=invite.rater_id,
                expires_at=old.expires_at if old and old.role else now + RATER_SESSION,
            )

    def session(self, token: str) -> Session | None:
        """Whom a cookie stands for; None where it is unknown or has expired."""
        with self._reading() as connection:
            row = connection.execute(select(t.session).where(t.session.c.token_hash == sha256(token))).one_or_none()
            if row is None or row.expires_at <= self.clock():
                return None
            rater = None
            if row.rater_id is not None:
                found = connection.execute(rater_query().where(t.rater.c.id == row.rater_id)).one()
                rater = Rater(**found._mapping)
        return Session(row.role, row.name, row.was_staff, rater, row.expires_at)

    def end_session(self, token: str) -> bool:
        """Log out; a no-op where there is no such session. Whether the browser must keep its cookie.

        One that was staff keeps a session without any right, so that what is rated in it later is still marked.
        """
        where = t.session.c.token_hash == sha256(token)
        with self._writing() as connection:
            connection.execute(delete(t.session).where(where, ~t.session.c.was_staff))
            kept = connection.execute(
                update(t.session)
                .where(where)
                .values(role=None, name="", rater_id=None, expires_at=self.clock() + RATER_SESSION)
            ).rowcount
        return bool(kept)

    def _take(self, connection: Connection, token: str | None) -> Row[Any] | None:
        """Remove a session and return it where it is alive: a login must not keep an id that others may know."""
        if token is None:
            return None
        where = t.session.c.token_hash == sha256(token)
        row = connection.execute(select(t.session).where(where)).one_or_none()
        connection.execute(delete(t.session).where(where))
        return row if row is not None and row.expires_at > self.clock() else None

    def _put(self, connection: Connection, **values: Any) -> str:
        token = self.token()
        connection.execute(insert(t.session).values(token_hash=sha256(token), **values))
        return token
