"""Work that may be called off while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass


class Cancelled(Exception):
    """Raised where work was called off."""


@dataclass(frozen=True, slots=True)
class Going:
    """Asked between the parts of a piece of work."""

    cancelled: Callable[[], bool]

    def on(self) -> None:
        """Raises Cancelled once the work was called off."""
        if self.cancelled():
            raise Cancelled
