"""Verify a study: derive everything again from the store, from an archive, and from the feature store where it is at hand.

for finding in verify_store(store, "demo"): …
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from app import archive
from app.errors import UserError
from app.freeze import draw_items, report
from app.store.archive import Record
from app.store.features import FeatureStore
from app.store.study import StudyStore
from app.study.protocol import Protocol
from app.study.verify import faults

# What of each record never changes once it is there.
FIXED = {
    "study": (
        "protocol",
        "protocol_hash",
        "key_commitment",
        "key_salt",
        "secret",
        "title",
        "instructions",
        "report",
        "created_at",
    ),
    "item": ("purpose", "task", "turns", "expected", "pages", "content_hash", "key"),
    "rater": ("source", "created_at"),
    "assignment": ("position", "flip", "claimed_at"),
    "rating": ("rater", "item", "repeat", "revision", "previous", "content_hash", "hash", "at", "staff"),
}


def verify_store(store: StudyStore, name: str) -> list[str]:
    """What in the store is not as it was frozen or answered; empty where all is.

    Raises NotFound, UserError where the study was frozen before items had hashes.
    """
    study = store.study(name)
    if study.protocol.get("version") == 1:
        raise UserError(
            f"“{name}” was frozen by dartboard 0.1, before what an item shows was hashed, so it cannot be verified."
        )
    return list(faults(archive.records_to_verify(store, study)))


def verify_archive(path: Path) -> list[str]:
    """The same of an archive by itself. Raises NotFound, UserError."""
    found = list(archive.read(path))
    try:
        return list(faults(found))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} lacks what a study needs ({error}); export it again.") from error


def compare(store: StudyStore, name: str, path: Path) -> Iterator[str]:
    """Where an archive says of a study what its store does not say.

    Ratings that came, and withdrawals and other steps that were taken, since the archive was written are no fault.
    """
    here = {_name(record): record for record in archive.records_to_verify(store, store.study(name))}
    for record in archive.read(path):
        mine = here.get(_name(record))
        if mine is None:
            yield f"{_name(record)}: it is in the archive, and not in the store"
            continue
        for key in FIXED.get(record["type"], ()):
            if key in record and record[key] != mine.get(key):
                yield f"{_name(record)}: its {key} in the archive is not the store's"


def _name(record: Record) -> str:
    match record["type"]:
        case "study":
            return "study"
        case "rating":
            return f"rating {record['number']}"
        case "assignment":
            again = ", second time" if record["repeat"] else ""
            return f"assignment of item {record['item']} to rater {record['rater']}{again}"
        case kind:
            return f"{kind} {record[kind]}"


def drawn_from(store: StudyStore, name: str, features: FeatureStore) -> bool:
    """Whether a feature store is the one that a study was drawn from."""
    return bool(store.study(name).protocol["feature_digest"] == features.digest())


def redraw(store: StudyStore, name: str, features: FeatureStore) -> Iterator[str]:
    """Draw a study anew from the feature store, and say which items come out otherwise.

    Raises UserError where the feature store is not the one that the study was drawn from.
    """
    study, *rest = archive.records_to_verify(store, store.study(name))
    if not drawn_from(store, name, features):
        raise UserError(
            f"{features.path} is not the feature store that “{name}” was drawn from; name the folder of that one."
        )
    stored = {record["item"]: record for record in rest if record["type"] == "item"}
    protocol = Protocol.from_canonical(study["protocol"])
    drawing = draw_items(protocol, features, study["secret"])
    if study["report"] != report(protocol, drawing):
        yield "study: its report of what was drawn is not what drawing the study anew gives"
    for item in drawing.items:
        mine = stored.pop(item.public_id, None)
        if mine is None:
            yield f"item {item.public_id}: drawing the study anew gives it, but the store has it not"
            continue
        for key, value in item.shown().items():
            if mine[key] != value:
                yield f"item {item.public_id}: its {key} is not what drawing the study anew gives"
        rows = {row["page"]: {key: value for key, value in row.items() if key != "seal"} for row in mine["key"]}
        for row in item.key:
            if rows.pop(row.page, None) != asdict(row):
                yield f"key: the row of item {item.public_id}, page {row.page}, is not what drawing the study anew gives"
    for item_id in stored:
        yield f"item {item_id}: the store has it, but drawing the study anew does not give it"
