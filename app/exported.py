"""Read an export again: a folder that `dartboard study export` wrote, or its ratings alone, as the tables of an analysis.

    tables = read_export(Path("demo-export"))

Cells are typed as the codebook says. Beside a lone ratings file its neighbours are read only if their hashes are its own.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.codebook import FEATURES, TABLES, Column
from app.errors import NotFound, UserError
from app.export import unguard
from app.study.analysis.tables import Cell, Row, Tables
from app.study.blinding import sha256_hex
from app.study.protocol import Protocol

FORMATS = ("csv", "jsonl", "parquet")
COLUMNS = {**TABLES, "features": FEATURES}
REALS = ("score_", "null_")  # columns of machine scores, which differ from store to store
Lines = Iterator[Mapping[str, Any]]


def read_export(path: Path) -> Tables:
    """The tables at a path. Raises NotFound, UserError: which file, which row, what is wrong with it."""
    if not path.exists():
        raise NotFound(f"{path} is not there; name the folder of an export, or its ratings file.")
    if path.is_dir():
        ratings = _file(path, "ratings")
        if ratings is None:
            raise NotFound(f"{path} holds no ratings.csv, .jsonl or .parquet; name the folder of an export.")
        return _whole(path, list(read_table(ratings, "ratings")), strict=True)
    return _whole(path.parent, list(read_table(path, "ratings")), strict=False)


def _whole(folder: Path, ratings: list[Row], strict: bool) -> Tables:
    """The ratings with what lies beside them; not `strict`: only what is of the same study."""
    protocol_hash = ratings[0]["protocol_hash"] if ratings else None
    tables = Tables(ratings, protocol=_protocol(folder / "protocol.json", protocol_hash, strict))
    if not strict and tables.protocol is None:
        return tables
    rest = {name: _file(folder, name) for name in ("items", "raters", "features")}
    items, raters = (list(read_table(path, name)) if (path := rest[name]) else () for name in ("items", "raters"))
    tables = replace(tables, items=items, raters=raters)
    if rest["features"]:
        rated = {(row["dictionary"], row["feature"]) for row in ratings}
        every = read_table(rest["features"], "features")
        tables = replace(tables, features=[row for row in every if (row["dictionary"], row["feature"]) in rated])
    return tables


def _file(folder: Path, table: str) -> Path | None:
    return next((path for form in FORMATS if (path := folder / f"{table}.{form}").is_file()), None)


def _protocol(path: Path, expected: Cell, strict: bool) -> Protocol | None:
    """The frozen design; None where there is none, or, not `strict`, where it is another study's."""
    if not path.is_file():
        return None
    text = _text(path)
    if expected is not None and sha256_hex(text) != expected:
        if not strict:
            return None
        raise UserError(
            f"{path} does not have the SHA-256 that the ratings name: it was changed, or is another study's."
        )
    try:
        return Protocol.from_canonical(text)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} can't be read ({str(error).splitlines()[0]}); export the study again.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8, or export the study again.") from error


def read_table(path: Path, table: str) -> Iterator[Row]:
    """The rows of one table. Raises UserError where the file is no such table."""
    form = path.suffix.removeprefix(".").lower()
    readers: dict[str, Callable[[Path], Lines]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
    if form not in readers:
        raise UserError(f"{path} should be a .csv, .jsonl or .parquet file of an export.")
    kinds = {column.name: column.kind for column in COLUMNS[table]}
    for number, row in enumerate(readers[form](path), start=1):
        if number == 1:
            _check_columns(path, row, COLUMNS[table])
        yield {name: _cell(path, number, name, _kind(kinds, name), cell) for name, cell in row.items() if name}


def _check_columns(path: Path, row: Iterable[str], columns: Iterable[Column]) -> None:
    lacking = [column.name for column in columns if column.name not in row]
    if lacking:
        raise UserError(
            f"{path} lacks the column{'s'[: len(lacking) > 1]} {', '.join(lacking)}: it is not the export's table, or was "
            "saved with another separator; export the study again."
        )


def _kind(kinds: Mapping[str, str], name: str) -> str:
    return kinds.get(name) or ("real" if name.startswith(REALS) else "text")


def _csv(path: Path) -> Lines:
    try:
        rows = csv.DictReader(io.StringIO(_text(path), newline=""), restkey="", strict=True)
        for number, row in enumerate(rows, start=1):
            if None in row.values() or "" in row:
                raise UserError(f"{path}, row {number}: it has more or fewer cells than the first line has columns.")
            yield row
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file ({error}); export the study again.") from error


def _jsonl(path: Path) -> Lines:
    for number, line in enumerate(_text(path).rstrip("\n").split("\n"), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: this is not JSON; export the study again.") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: it should be one object; export the study again.")
        yield row


def _parquet(path: Path) -> Lines:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UserError("Parquet needs a library: pip install 'dartboard[parquet]'; or export as CSV.") from error
    try:
        yield from parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} is no Parquet file; export the study again.") from error


def _cell(path: Path, number: int, name: str, kind: str, cell: Any) -> Cell:
    """One cell, as the codebook types it; empty is None."""
    if cell is None or cell == "":
        return None
    try:
        if kind == "number":
            if isinstance(cell, float) and not cell.is_integer():
                raise ValueError("a part of a whole")
            return int(cell)
        if kind == "real":
            return float(cell)
        if kind == "flag":
            return {"true": True, "false": False}[str(cell).lower()]
        return unguard(cell) if path.suffix.lower() == ".csv" else str(cell)
    except (ValueError, KeyError, TypeError) as error:
        what = {"number": "a whole number", "real": "a number", "flag": "true or false"}[kind]
        raise UserError(f"{path}, row {number}: {name} is {cell!r}; it should be {what}.") from error
