"""A rater withdraws: the answers are erased, their places in the chain stay as tombstones, the items are free again."""

from sqlalchemy import delete, select, update

from app.store import study_schema as t
from app.store.engine import erase_for_good
from app.store.records import Rater
from app.store.rules import FrozenRules


class Withdrawal(FrozenRules):
    def withdraw(self, rater: Rater, actor: str) -> None:
        """Erase what a rater has said and who it was, for good, in any state of the study; a no-op the second time.

        Every rating keeps its hashes, so that the chain still holds; its answer, its salt and its times go, and without
        the salt the hash of the content tells nothing. Accepted places become free.
        """
        a, now = t.assignment.c, self.clock()
        with self._writing() as connection:
            connection.execute(select(t.study.c.id).where(t.study.c.id == rater.study_id).with_for_update())
            r = t.rater.c
            first = connection.execute(
                update(t.rater)
                .where(r.id == rater.id, r.withdrawn_at.is_(None))
                .values(withdrawn_at=now, label="withdrawn", completion_code=None)
            ).rowcount
            if not first:
                return
            own = select(a.id).where(a.rater_id == rater.id)
            counted = select(a.item_id).where(a.rater_id == rater.id, a.state == "accepted", a.repeat == 0)
            connection.execute(
                update(t.item)
                .where(t.item.c.id.in_(counted), t.item.c.purpose == "main")
                .values(accepted=t.item.c.accepted - 1)
            )
            connection.execute(
                update(t.rating)
                .where(t.rating.c.assignment_id.in_(own))
                .values(answer=None, salt=None, server_ms=None, visible_ms=None, withdrawn_at=now)
            )
            connection.execute(
                update(t.assignment).where(a.rater_id == rater.id).values(state="withdrawn", reopened=False)
            )
            connection.execute(delete(t.platform_id).where(t.platform_id.c.rater_id == rater.id))
            connection.execute(
                update(t.invite)
                .where(t.invite.c.rater_id == rater.id, t.invite.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            self._audit(connection, actor, "withdraw", rater.study_id, rater=rater.id)
        erase_for_good(self.engine)
