"""Links by which many may join: an open one with a cap, and one for a crowd platform, whose ids come in the address.

The ids are spoofable: anybody may write another's into the address. So the first browser that brings an id is the one
that has it, by its cookie; the same id from another browser is refused. They are kept in a table of their own and leave
the store in no export.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, or_, select, update

from app.errors import Conflict, Gone, NotFound, UserError
from app.store import study_schema as t
from app.store.access import RATER_SESSION, Access
from app.store.base import sha256
from app.store.records import JoinPage, Link, Platform, Rater
from app.store.rules import FrozenRules

LONGEST_ID = 100
LARGEST_CAP = 100_000


class Links(Access, FrozenRules):
    def make_link(self, study: str, kind: str, cap: int, days: int, actor: str, completion_code: str = "") -> str:
        """The token of a new link. Raises NotFound, UserError, Conflict where the study takes nobody any more."""
        if not 1 <= cap <= LARGEST_CAP:
            raise UserError(f"A link can let in 1 to {LARGEST_CAP} raters, not {cap}; give another number.")
        if not 1 <= days <= 3650:
            raise UserError(f"A link can live 1 to 3650 days, not {days}; give another number.")
        if completion_code and not _is_id(completion_code):
            raise UserError(f"A completion code has 1 to {LONGEST_ID} printable characters; give another one.")
        if kind not in ("open", "crowd"):
            raise UserError(f"A link is open or crowd, not {kind}; choose one of the two.")
        token, now = self.token(), self.clock()
        with self._writing() as connection:
            row = connection.execute(select(t.study.c.id, t.study.c.state).where(t.study.c.name == study)).one_or_none()
            if row is None:
                raise NotFound(f"There is no study “{study}”.")
            if row.state not in ("open", "paused"):
                raise Conflict(f"The study “{study}” is {row.state}; a rater can join an open study only.")
            connection.execute(
                insert(t.link).values(
                    token_hash=sha256(token),
                    study_id=row.id,
                    kind=kind,
                    cap=cap,
                    completion_code=completion_code or None,
                    created_at=now,
                    expires_at=now + timedelta(days=days),
                )
            )
            self._audit(connection, actor, "make link", row.id, kind=kind, cap=cap, days=days)
        return token

    def links(self, study: str) -> list[Link]:
        """A study's links, the newest first, with how many came by each and how many places are taken now."""
        with self._reading() as connection:
            rows = connection.execute(
                select(t.link)
                .join(t.study, t.study.c.id == t.link.c.study_id)
                .where(t.study.c.name == study)
                .order_by(t.link.c.id.desc())
            ).all()
            return [self._link(connection, row) for row in rows]

    def revoke_link(self, study: str, link_id: int, actor: str) -> None:
        """Let nobody else join by a link; who has joined goes on. Raises NotFound."""
        with self._writing() as connection:
            study_id = connection.execute(
                select(t.link.c.study_id)
                .join(t.study, t.study.c.id == t.link.c.study_id)
                .where(t.link.c.id == link_id, t.study.c.name == study)
            ).scalar_one_or_none()
            if study_id is None:
                raise NotFound(f"The study “{study}” has no such link; choose one from the study's page.")
            connection.execute(
                update(t.link)
                .where(t.link.c.id == link_id, t.link.c.revoked_at.is_(None))
                .values(revoked_at=self.clock())
            )
            self._audit(connection, actor, "revoke link", study_id, link=link_id)

    def release(self, rater_id: int, actor: str) -> None:
        """Free the places of a rater who went away for good: leases end, the session too; answers stay.

        Raises NotFound.
        """
        now = self.clock()
        with self._writing() as connection:
            study_id = connection.execute(
                select(t.rater.c.study_id).where(t.rater.c.id == rater_id)
            ).scalar_one_or_none()
            if study_id is None:
                raise NotFound("There is no such rater; choose one from the study's page.")
            connection.execute(select(t.study.c.id).where(t.study.c.id == study_id).with_for_update())
            a = t.assignment.c
            connection.execute(
                update(t.assignment)
                .where(a.rater_id == rater_id, a.state == "leased", a.lease_until > now)
                .values(lease_until=now)
            )
            connection.execute(update(t.rater).where(t.rater.c.id == rater_id).values(released_at=now))
            connection.execute(update(t.session).where(t.session.c.rater_id == rater_id).values(rater_id=None))
            self._audit(connection, actor, "release", study_id, rater=rater_id)

    def join_page(self, token: str) -> JoinPage:
        """What the page of a link says; it changes nothing. Raises NotFound, Gone, Conflict as `open_link` does."""
        with self._reading() as connection:
            link = self._alive(connection, token)
            title = connection.execute(select(t.study.c.title).where(t.study.c.id == link.study_id)).scalar_one()
            return JoinPage(title, link.kind)

    def open_link(self, token: str, session_token: str | None, platform: Platform | None) -> str:
        """A fresh session token for one who joins by a link, or who comes back to it in the same browser.

        Raises NotFound where the link is mangled, Gone where it has expired, was revoked or is full, UserError where a
        crowd link brings no ids, Conflict where its id has joined in another browser or the study takes nobody now.
        """
        with self._writing() as connection:
            link = self._alive(connection, token)
            connection.execute(select(t.study.c.id).where(t.study.c.id == link.study_id).with_for_update())
            crowd = link.kind == "crowd"
            if crowd and (platform is None or not all(map(_is_id, platform.ids))):
                raise UserError(
                    "This link works from the crowd platform's page alone, which adds your id to it; open it there."
                )
            old = self._peek(connection, session_token)
            own = self._joined(connection, old.rater_id) if old is not None and old.rater_id is not None else None
            if own is not None and own.study_id == link.study_id:
                if crowd and platform is not None and own.participant not in (None, platform.participant):
                    raise Conflict("This browser takes part under another id already; go on with that one.")
                rater_id = own.id
            else:
                rater_id = self._join(connection, link, platform if crowd else None)
            taken = self._take(connection, session_token)
            return self._put(
                connection,
                role=taken.role if taken else None,
                name=taken.name if taken else "",
                was_staff=taken.was_staff if taken else False,
                rater_id=rater_id,
                expires_at=taken.expires_at if taken and taken.role else self.clock() + RATER_SESSION,
            )

    def platform_of(self, rater: Rater) -> Platform | None:
        """The ids by which a crowd platform knows a rater: for the admin's page alone."""
        p = t.platform_id.c
        with self._reading() as connection:
            row = connection.execute(
                select(p.participant, p.study, p.session).where(p.rater_id == rater.id)
            ).one_or_none()
        return Platform(*row) if row else None

    def _alive(self, connection: Connection, token: str) -> Row[Any]:
        link = connection.execute(select(t.link).where(t.link.c.token_hash == sha256(token))).one_or_none()
        if link is None:
            raise NotFound("This link is not one of ours, or was cut off; copy it whole.")
        if link.revoked_at:
            raise Gone("This link was revoked; ask the person who sent it for a new one.")
        if link.expires_at <= self.clock():
            raise Gone("This link has expired; ask the person who sent it for a new one.")
        state = connection.execute(select(t.study.c.state).where(t.study.c.id == link.study_id)).scalar_one()
        if state == "paused":
            raise Conflict("This study makes a pause; come back later.")
        if state != "open":
            raise Gone("This study has closed and takes nobody any more. Thank you for coming.")
        return link

    def _join(self, connection: Connection, link: Row[Any], platform: Platform | None) -> int:
        """A new rater by a link whose study is locked."""
        p, r = t.platform_id.c, t.rater.c
        if platform is not None:
            query = (
                select(p.rater_id, p.session, r.consented_at, r.released_at)
                .join(t.rater, r.id == p.rater_id)
                .where(r.study_id == link.study_id, p.participant == platform.participant)
            )
            known = connection.execute(query).first()
            if known is not None:
                begun = known.consented_at or known.released_at or known.session != platform.session
                if begun:
                    raise Conflict(
                        "This id has started already, in another browser; go on there, or write to the researcher."
                    )
                # The reply with the cookie may have been lost; where nothing was begun, nothing can be stolen.
                connection.execute(
                    update(t.session).where(t.session.c.rater_id == known.rater_id).values(rater_id=None)
                )
                return int(known.rater_id)
        if self._places_taken(connection, link) >= link.cap:
            raise Gone("All places of this link are taken. Thank you for coming.")
        number = connection.execute(select(func.count()).where(r.link_id == link.id)).scalar_one() + 1
        rater_id = connection.execute(
            insert(t.rater)
            .values(
                study_id=link.study_id,
                pseudonym=f"r-{sha256(self.token())[:12]}",
                label=f"{link.kind} link {link.id}, no. {number}",
                source=link.kind,
                link_id=link.id,
                created_at=self.clock(),
            )
            .returning(r.id)
        ).scalar_one()
        if platform is not None:
            connection.execute(
                insert(t.platform_id).values(
                    rater_id=rater_id,
                    link_id=link.id,
                    participant=platform.participant,
                    study=platform.study,
                    session=platform.session,
                )
            )
        return int(rater_id)

    def _places_taken(self, connection: Connection, link: Row[Any]) -> int:
        """Raters of a link who hold a place: not withdrawn, not released, and with an answer, or here for less than a
        lease.
        """
        return int(connection.execute(self._holders(connection, link)).scalar_one())

    def _holders(self, connection: Connection, link: Row[Any]) -> Select[Any]:
        r, a = t.rater.c, t.assignment.c
        since = self.clock() - self._rules(connection, link.study_id).lease
        answered = exists().where(a.rater_id == r.id, a.state != "leased")
        here = exists().where(a.rater_id == r.id, a.state == "leased", a.lease_until > self.clock())
        return select(func.count()).where(
            r.link_id == link.id,
            and_(r.withdrawn_at.is_(None), r.released_at.is_(None)),
            or_(answered, here, r.created_at > since),
        )

    def _link(self, connection: Connection, row: Row[Any]) -> Link:
        joined = connection.execute(select(func.count()).where(t.rater.c.link_id == row.id)).scalar_one()
        state = "revoked" if row.revoked_at else "live" if self.clock() < row.expires_at else "expired"
        return Link(
            id=row.id,
            kind=row.kind,
            cap=row.cap,
            taken=self._places_taken(connection, row),
            joined=joined,
            state=state,  # type: ignore[arg-type]
            created_at=row.created_at,
            expires_at=row.expires_at,
            completion_code=row.completion_code,
        )

    def _joined(self, connection: Connection, rater_id: int) -> Row[Any] | None:
        """A rater who may still go on, with the platform's id."""
        r = t.rater.c
        query: Select[Any] = (
            select(r.id, r.study_id, t.platform_id.c.participant)
            .outerjoin(t.platform_id, t.platform_id.c.rater_id == r.id)
            .where(r.id == rater_id)
        )
        return connection.execute(query).one_or_none()

    def _peek(self, connection: Connection, token: str | None) -> Row[Any] | None:
        """A session that is alive, left as it is."""
        if token is None:
            return None
        row = connection.execute(select(t.session).where(t.session.c.token_hash == sha256(token))).one_or_none()
        return row if row is not None and row.expires_at > self.clock() else None


def _is_id(text: str) -> bool:
    """Printable, and not a platform's placeholder that nobody filled in: all who came with it would be one."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable() and text == text.strip() and "{{" not in text
