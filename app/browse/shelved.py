"""What its reader keeps of a feature, as a part of its page. Of most features that is nothing, and then nothing is read."""

from dataclasses import dataclass

from app.memo import memo
from app.render import Mould, mould
from app.store.features import Dictionary
from app.store.shelf import LONGEST_NOTE, Kept, Shelf
from app.store.study import StudyStore

NONE = -1  # a feature of which nobody keeps anything


@dataclass(frozen=True, slots=True)
class ShelvedPart:
    dictionary: Dictionary
    kept: Kept | None  # None where nobody is signed in
    longest_note: int = LONGEST_NOTE


def shelved_part(
    study: StudyStore, owner: str | None, dictionary: Dictionary, feature: int
) -> tuple[bool | None, bytes]:
    """Whether it is starred, None where nobody is signed in; and the section with the note and the lists."""
    known, shelf, name = memo(study), Shelf(study), dictionary.name

    def drawn(kept: Kept | None) -> Mould:
        return mould("browse/_kept.html", ShelvedPart(dictionary, kept))

    starred: bool | None = None
    if owner is None:
        part = known.ask(("signed out", name), lambda: drawn(None))
    else:
        some, part = known.ask(
            ("kept", owner, name),
            lambda: (shelf.kept_features(owner, name), drawn(shelf.kept(owner, name, NONE))),
        )
        starred = feature in some
        if starred:
            kept = shelf.kept(owner, name, feature)
            starred, part = kept.starred, drawn(kept)
    return starred, part.fill({"index": feature})
