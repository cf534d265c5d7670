"""The page that asks before something final is done, and the check that it was ticked."""

from dataclasses import dataclass

from app.errors import Unprocessable


@dataclass(frozen=True)
class ConfirmPage:
    admin: str
    back: str  # address of the page that asked, and its name
    back_name: str
    title: str
    consequences: tuple[str, ...]
    action: str  # address
    button: str


def check_confirmed(final: str) -> None:
    """Raises Unprocessable where the box was not ticked."""
    if final != "yes":
        raise Unprocessable("Nothing was changed: tick the box that says that this is final, and send the form again.")
