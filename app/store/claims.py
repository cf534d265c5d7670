"""Which question a rater gets: what it has at hand, else a new claim. Blind: nothing here reads the key.

A claim is one short transaction. It locks the study's row, so that claims and submits of one study come one after the
other on PostgreSQL as they do on SQLite, and no item gets more than k accepted or leased places. Each item counts its
accepted ratings, and leases that live are few, so a claim reads neither all assignments nor any page.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, update

from app.store import study_schema as t
from app.store.records import Progress, Rater
from app.store.rules import FrozenRules, Item, Rules, Standing
from app.study.assignment import Offer, Past, coin, next_flip, next_item, preference, repeats_ahead
from app.study.blinding import keyed, public_id

ORDERS = 1000  # raters whose order is kept in memory
ASKED = {"open": ("main", "catch"), "guessing": ("guess",)}  # purposes of the items that are asked, by a study's state


@dataclass(frozen=True, slots=True)
class Mine:
    """A rater's assignments in order of position, and the main items that are still to be had."""

    own: tuple[Row[Any], ...]
    free: tuple[Item, ...]  # not yet this rater's, in its order
    lost: frozenset[int]  # this rater's own leased items whose k places are held by others now

    @property
    def answered(self) -> int:
        return sum(row.state != "leased" and not row.reopened for row in self.own)


class Claims(FrozenRules):
    def _has_at_hand(self, connection: Connection, rater: Rater, rules: Rules) -> bool:
        """Whether `_at_hand` might find something, by one short query."""
        a = t.assignment.c
        waiting = or_(a.reopened, and_(a.state == "leased", a.lease_until >= self.clock() + rules.lease / 2))
        return connection.execute(select(a.id).where(a.rater_id == rater.id, waiting).limit(1)).first() is not None

    def _mine(self, connection: Connection, rater: Rater, rules: Rules, standing: Standing) -> Mine:
        """What this rater has and may have in the study's present state; practice left out."""
        a = t.assignment.c
        query: Select[Any] = select(
            a.id, a.item_id, a.repeat, a.position, a.flip, a.public_id, a.state, a.reopened, a.lease_until, a.served_at
        )
        rows = connection.execute(query.where(a.rater_id == rater.id).order_by(a.position)).all()
        asked = ASKED.get(standing.state, ())
        own = tuple(row for row in rows if rules.items[row.item_id].purpose in asked)
        if standing.state != "open" or standing.dismissed:
            return Mine(own, (), frozenset())
        places = self._free_places(connection, rater, rules)
        mains = [row for row in own if self._counts(rules, row)]
        lost = {row.item_id for row in mains if row.state == "leased"} - places
        had = {row.item_id for row in mains}
        free = [item for item in self._order(rater, rules) if item.id in places and item.id not in had]
        if rules.items_per_rater is not None:
            free = free[: max(0, rules.items_per_rater - len(mains) + len(lost))]
        return Mine(own, tuple(free), frozenset(lost))

    def _order(self, rater: Rater, rules: Rules) -> tuple[Item, ...]:
        """All main items in this rater's order: worked out once for those who rate now."""
        with self._orders_lock:
            order: tuple[Item, ...] | None = self._orders.pop(rater.id, None)
        if order is None:
            order = tuple(
                sorted(
                    rules.of("main"),
                    key=lambda item: preference(rules.seed, rater.pseudonym, item.public_id, item.task),
                )
            )
        with self._orders_lock:
            self._orders[rater.id] = order  # put back last, so that the first key is the rater who was away longest
            if len(self._orders) > ORDERS:
                del self._orders[next(iter(self._orders))]
        return order

    def _free_places(self, connection: Connection, rater: Rater, rules: Rules) -> set[int]:
        """Main items of which others hold fewer than k places."""
        i, a = t.item.c, t.assignment.c
        wanted = rules.raters_per_item
        query = select(i.id, i.accepted).where(i.study_id == rules.study_id, i.purpose == "main", i.accepted < wanted)
        accepted = connection.execute(query).all()
        live = select(a.item_id).where(
            a.state == "leased", a.lease_until > self.clock(), a.repeat == 0, a.rater_id != rater.id
        )
        held = Counter(connection.execute(live).scalars())
        return {item_id for item_id, count in accepted if count + held[item_id] < wanted}

    def _place_is_free(self, connection: Connection, rater: Rater, rules: Rules, item_id: int) -> bool:
        """Whether others hold fewer than k places of this one item."""
        a = t.assignment.c
        accepted = connection.execute(select(t.item.c.accepted).where(t.item.c.id == item_id)).scalar_one()
        live = select(func.count()).where(
            a.item_id == item_id,
            a.state == "leased",
            a.lease_until > self.clock(),
            a.repeat == 0,
            a.rater_id != rater.id,
        )
        return bool(accepted + connection.execute(live).scalar_one() < rules.raters_per_item)

    def _counts(self, rules: Rules, row: Row[Any]) -> bool:
        """Whether an assignment takes one of its item's k places."""
        return rules.items[row.item_id].purpose == "main" and not row.repeat

    def _at_hand(self, mine: Mine, rules: Rules) -> Row[Any] | None:
        """The reopened assignment, else the leased one with at least half its lease left."""
        half = self.clock() + rules.lease / 2
        reopened = [row for row in mine.own if row.reopened]
        leased = [row for row in mine.own if row.state == "leased" and row.lease_until >= half]
        return next(iter([*reopened, *leased]), None)

    def _claim(self, connection: Connection, rater: Rater, rules: Rules, standing: Standing, mine: Mine) -> int | None:
        """The id of the assignment that comes next: a lease renewed where its place is still free, else a new one."""
        now = self.clock()
        self._clamp_leases(connection, rules, now)
        for row in mine.own:
            if row.state == "leased" and row.item_id not in mine.lost:
                times = {"lease_until": now + rules.lease}
                if row.lease_until <= now:
                    times["served_at"] = now  # the time away is not time on task
                connection.execute(update(t.assignment).where(t.assignment.c.id == row.id).values(times))
                return int(row.id)
        if standing.state == "guessing":
            chosen = self._next_guess(rater, rules, mine, told=standing.told_at is not None)
        else:
            chosen = self._next(rater, rules, mine)
        if chosen is None:
            return None
        item, repeat = chosen
        position = 1 + max(0, self._last_position(connection, rater))
        flip = item.task == "pair" and self._flip(rater, rules, mine, item, repeat)
        return self._lease(connection, rater, rules, item, repeat, position, flip)

    def _next(self, rater: Rater, rules: Rules, mine: Mine) -> tuple[Item, bool] | None:
        choice = next_item(
            rules.seed,
            rater.pseudonym,
            _past(rules, mine),
            _offers(mine.free),
            _offers(rules.of("catch")),
            rules.repeats,
        )
        return None if choice is None else (rules.by_public_id[choice.item], choice.repeat)

    def _next_guess(self, rater: Rater, rules: Rules, mine: Mine, *, told: bool) -> tuple[Item, bool] | None:
        """Fresh pages first; once the arms were told, a guess on each of them."""
        had = {(row.item_id, row.repeat) for row in mine.own}
        waiting = [item for item in rules.of("guess") if (item.id, int(told)) not in had]
        label = "guess" if told else "fresh"
        item = min(waiting, key=lambda item: keyed(rules.seed, label, rater.pseudonym, item.public_id), default=None)
        return None if item is None else (item, told)

    def _flip(self, rater: Rater, rules: Rules, mine: Mine, item: Item, repeat: bool) -> bool:
        sides = [
            (rules.items[row.item_id].turns, row.flip) for row in mine.own if rules.items[row.item_id].task == "pair"
        ]
        label = f"{item.public_id} again" if repeat else item.public_id
        return next_flip(sides, item.turns, coin(rules.seed, rater.pseudonym, label))

    def _last_position(self, connection: Connection, rater: Rater) -> int:
        query = select(func.max(t.assignment.c.position)).where(t.assignment.c.rater_id == rater.id)
        return connection.execute(query).scalar_one() or 0

    def _lease(
        self, connection: Connection, rater: Rater, rules: Rules, item: Item, repeat: bool, position: int, flip: bool
    ) -> int:
        now = self.clock()
        name = f"{item.public_id} again" if repeat else item.public_id
        made = (
            insert(t.assignment)
            .values(
                rater_id=rater.id,
                item_id=item.id,
                repeat=int(repeat),
                position=position,
                flip=flip,
                public_id=public_id(rules.secret, rater.pseudonym, name),
                state="leased",
                claimed_at=now,
                lease_until=now + rules.lease,
                served_at=now,
            )
            .returning(t.assignment.c.id)
        )
        return int(connection.execute(made).scalar_one())

    def _clamp_leases(self, connection: Connection, rules: Rules, now: datetime) -> None:
        """After the clock was set back, a lease would hold its place for longer than a lease is: cut it."""
        a = t.assignment.c
        items = select(t.item.c.id).where(t.item.c.study_id == rules.study_id)
        latest = now + rules.lease
        connection.execute(
            update(t.assignment)
            .where(a.state == "leased", a.lease_until > latest, a.item_id.in_(items))
            .values(lease_until=latest)
        )

    def _progress(self, rater: Rater, rules: Rules, standing: Standing, mine: Mine) -> Progress:
        reopened = any(row.reopened for row in mine.own)
        asking = standing.state in ASKED
        told = self._told(rules, standing, mine)
        answered = any(row.state != "leased" and (row.repeat or not told) for row in mine.own)
        ahead = 0
        if asking:
            ahead = len(mine.own) - mine.answered - len(mine.lost)
            ahead += self._ahead(rater, rules, mine) if standing.state == "open" else self._guesses_ahead(rules, mine)
        return Progress(mine.answered, mine.answered + ahead, can_undo=asking and answered and not reopened)

    def _ahead(self, rater: Rater, rules: Rules, mine: Mine) -> int:
        """Main items, catch items and repeats that this rater has not been shown yet."""
        past = _past(rules, mine)
        if not past and not mine.free:
            return 0
        shown = {row.item_id for row in mine.own}
        left: Counter[str] = Counter(item.task for item in mine.free)
        tasks = {*left, *(one.task for one in past[-1:])}
        repeats = sum(
            repeats_ahead(rules.seed, rater.pseudonym, past, task, rules.repeats, left[task]) for task in tasks
        )
        return len(mine.free) + sum(item.id not in shown for item in rules.of("catch")) + repeats

    def _told(self, rules: Rules, standing: Standing, mine: Mine) -> bool:
        """Whether the arms were told, or stand on the screen now: from then on no score of a fresh page may change."""
        fresh = len(rules.of("guess"))
        return standing.told_at is not None or (standing.state == "guessing" and mine.answered >= fresh)

    def _guesses_ahead(self, rules: Rules, mine: Mine) -> int:
        return 2 * len(rules.of("guess")) - len(mine.own)


def _past(rules: Rules, mine: Mine) -> list[Past]:
    found = ((rules.items[row.item_id], row) for row in mine.own)
    return [Past(item.public_id, item.task, item.purpose, bool(row.repeat), row.position) for item, row in found]


def _offers(items: tuple[Item, ...] | list[Item]) -> list[Offer]:
    return [Offer(item.public_id, item.task) for item in items]
