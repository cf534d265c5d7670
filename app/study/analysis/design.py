"""What an analysis is of: the arms' roles and the margins, as the frozen protocol declares them.

Design.of(protocol)
Design.given("trained", "random", "null-pages")  # of a table that comes without its protocol

Margins that nobody declared are the defaults of a study file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from app.study.protocol import Protocol
from app.study.rules import Estimand, Exclusions

Kind = Literal["features", "null", "planted"]
Role = Literal["trained", "random", "null", "other"]
DEFAULTS = Estimand(trained="trained", random="random", null="null-pages")
EXCLUDED = Exclusions()


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of the study: what it is and what the estimand takes it for."""

    name: str
    kind: Kind
    role: Role


@dataclass(frozen=True, slots=True)
class Design:
    """The estimand, the rules of exclusion and the arms. `declared`: they come from a frozen protocol that names them.

    An arm that stands for nothing here is None; then there is no headline.
    """

    arms: tuple[Arm, ...] = ()
    trained: str | None = None
    random: str | None = None
    null: str | None = None
    declared: bool = False
    retention: float = DEFAULTS.retention
    gate: float = DEFAULTS.gate
    equivalence: float = DEFAULTS.equivalence
    intruder: float = DEFAULTS.intruder
    alpha: float = DEFAULTS.alpha
    catch_wrong: int = EXCLUDED.catch_wrong
    median_seconds: float = EXCLUDED.median_seconds
    strata: int = 10
    asks_intruders: bool = False  # the protocol has intruder trials

    @classmethod
    def of(cls, protocol: Protocol) -> Self:
        """What a protocol declares."""
        aim = protocol.estimand
        roles = (aim.trained, aim.random, protocol.null_arm) if aim else (None, None, protocol.null_arm)
        margins = aim or DEFAULTS
        return cls(
            arms=tuple(Arm(arm.name, arm.control or "features", _role(arm.name, *roles)) for arm in protocol.arms),
            trained=roles[0],
            random=roles[1],
            null=roles[2],
            declared=aim is not None,
            retention=margins.retention,
            gate=margins.gate,
            equivalence=margins.equivalence,
            intruder=margins.intruder,
            alpha=margins.alpha,
            catch_wrong=protocol.exclusions.catch_wrong,
            median_seconds=protocol.exclusions.median_seconds,
            strata=protocol.sampling.strata,
            asks_intruders=protocol.tasks.intruder is not None,
        )

    @classmethod
    def given(cls, trained: str | None, random: str | None, null: str | None, names: Sequence[str] = ()) -> "Design":
        """Roles that somebody names afterwards, with the margins of a protocol that sets none.

        `names` are the arms that were rated; those not named are taken for arms with features.
        """
        every = dict.fromkeys([*(name for name in (trained, random, null) if name), *names])
        arms = tuple(Arm(name, "null" if name == null else "features", "other") for name in every)
        return cls(arms=arms).compared(trained, random, null)

    def compared(self, trained: str | None, random: str | None, null: str | None) -> "Design":
        """The same design with these roles, undeclared."""
        arms = tuple(replace(arm, role=_role(arm.name, trained, random, null)) for arm in self.arms)
        return replace(self, arms=arms, trained=trained, random=random, null=null, declared=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms)


def _role(name: str, trained: str | None, random: str | None, null: str | None) -> Role:
    if name == trained:
        return "trained"
    if name == random:
        return "random"
    return "null" if name == null else "other"
