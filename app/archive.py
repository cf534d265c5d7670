"""The canonical export: a whole study as lines of canonical JSON, which another store takes in and gives back unchanged.

    write(store, "demo", file)
    name = load(store, path, actor="cli")

The last line holds the number of lines before it and their SHA-256, so that a file that was cut off is known. The same study
gives the same bytes, whatever the database.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy.exc import DBAPIError

from app.errors import Conflict, NotFound, UserError
from app.store import archive
from app.store.archive import FORMAT, Record
from app.store.sealed import opened, unopened
from app.store.study import Study, StudyStore
from app.study.blinding import canonical_json

KINDS = ("study", "item", "rater", "assignment", "rating")


def records(store: StudyStore, name: str) -> Iterator[Record]:
    """A study's records; with its key and secrets after the reveal. Raises NotFound."""
    study = store.study(name)
    if study.state != "revealed":
        return archive.records(store.engine, study, None, None, {})
    key = opened(store, study)
    return archive.records(store.engine, study, key.secret, key.salt, key.rows)


def records_to_verify(store: StudyStore, study: Study) -> Iterator[Record]:
    """The same with the key in any state. For `app.verify` alone."""
    key = unopened(store, study)
    return archive.records(store.engine, study, key.secret, key.salt, key.rows)


def lines(store: StudyStore, name: str) -> Iterator[bytes]:
    """The lines of a study's archive, each with its line end."""
    sha, count = hashlib.sha256(), 0
    for record in records(store, name):
        line = (canonical_json(record) + "\n").encode()
        sha.update(line)
        count += 1
        yield line
    yield (canonical_json({"type": "end", "lines": count, "sha256": sha.hexdigest()}) + "\n").encode()


def write(store: StudyStore, name: str, file: BinaryIO) -> None:
    file.writelines(lines(store, name))


def read(path: Path) -> Iterator[Record]:
    """The records of an archive. Raises NotFound, UserError where the file is none, or was cut off or changed."""
    for number, record in _lines(path):
        if record.get("type") not in KINDS or (number == 1) != (record["type"] == "study"):
            raise UserError(f"{path}, line {number}, is not a record of a study; name an archive.jsonl.")
        if number == 1 and record.get("format") != FORMAT:
            raise UserError(f"{path} was written by another version of dartboard; read it with that one.")
        yield record


def _lines(path: Path) -> Iterator[tuple[int, Record]]:
    sha, number = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                record = _parsed(path, number, line)
                if record.get("type") == "end":
                    if record != {"type": "end", "lines": number - 1, "sha256": sha.hexdigest()} or file.read(1):
                        raise UserError(
                            f"{path} was changed after it was written: its last line does not fit the rest."
                        )
                    return
                sha.update(line)
                yield number, record
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}; `dartboard study export` writes one.") from error
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); check its place and permissions.") from error
    raise UserError(f"{path} ends after line {number}, without its last line; it was cut off, so export it again.")


def _parsed(path: Path, number: int, line: bytes) -> Record:
    try:
        record: Any = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}, is not JSON; name an archive.jsonl.") from error
    if not isinstance(record, dict):
        raise UserError(f"{path}, line {number}, is not a record of a study; name an archive.jsonl.")
    return record


def load(store: StudyStore, path: Path, actor: str) -> str:
    """Take a study in from its archive, which is read twice; returns its name.

    Raises NotFound, Conflict where the name is taken, UserError where the file is no whole archive.
    """
    name = ""
    for record in read(path):
        name = name or str(record.get("name"))
    if store.has_study(name):
        raise Conflict(f"There is a study “{name}” already; import it into another store.")
    try:
        return archive.load(store, read(path), actor)
    except (KeyError, TypeError, ValueError, OverflowError, DBAPIError) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        raise UserError(f"{path} lacks what a study needs ({reason}); export it again.") from error
