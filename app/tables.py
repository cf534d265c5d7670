"""A whole export as a folder: every table as CSV, JSONL or Parquet, the protocol, the codebook, and the archive.

    write_folder(store, "demo", Path("demo-export"), "csv", "parquet", features=FeatureStore(path))

ratings.csv revisions.csv items.csv raters.csv features.csv codebook.csv protocol.json archive.jsonl

Rows are streamed; the folder appears whole or not at all.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from app import archive
from app.codebook import CODEBOOK, TABLES, Cell, Column, codebook
from app.errors import UserError
from app.export import csv_lines, rating_rows, stamp
from app.feature_table import feature_table
from app.store.archive import RATER_TIMES, Record
from app.store.features import FeatureStore
from app.store.study import StudyStore
from app.study.blinding import canonical_json

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
BATCH = 5000  # rows of a row group
Row = Mapping[str, Cell]


def table_rows(store: StudyStore, name: str, table: str) -> Iterator[Row]:
    """The rows of one of TABLES. Raises NotFound."""
    if table == "ratings":
        return rating_rows(store, name)
    stamped = stamp(store, store.study(name))
    make = {"revisions": _revisions, "items": _items, "raters": _raters}[table]
    return ({**stamped, **row} for row in make(archive.records(store, name)))


def _revisions(records: Iterable[Record]) -> Iterator[dict[str, Cell]]:
    items: dict[str, tuple[str, str]] = {}
    places: dict[tuple[str, str, int], tuple[int, bool]] = {}
    for record in records:
        match record["type"]:
            case "item":
                items[record["item"]] = record["purpose"], record["task"]
            case "assignment":
                place = record["rater"], record["item"], record["repeat"]
                places[place] = record["position"], record["flip"]
            case "rating":
                purpose, task = items[record["item"]]
                order, flip = places[record["rater"], record["item"], record["repeat"]]
                guessed = purpose == "guess" and record["repeat"]
                yield {
                    **{column.name: record[column.name] for column in TABLES["revisions"] if column.name in record},
                    "purpose": purpose,
                    "task": "guess" if guessed else task,
                    "order": order,
                    "repeat": 0 if guessed else record["repeat"],
                    "flip": flip,
                    "answer": None if record["answer"] is None else canonical_json(record["answer"]),
                }


def _items(records: Iterable[Record]) -> Iterator[dict[str, Cell]]:
    for record in records:
        if record["type"] == "item":
            key = {row["page"]: row for row in record.get("key", ())}
            for page, content in sorted(record["pages"].items()):
                row = key.get(page)
                yield {
                    **{name: record[name] for name in ("item", "purpose", "task", "content_hash")},
                    "page": page,
                    "content": canonical_json(content),
                    **{name: row[name] if row else None for name in ("arm", "dictionary", "feature")},
                    "stratum": canonical_json(row["stratum"]) if row else None,
                }


def _raters(records: Iterable[Record]) -> Iterator[dict[str, Cell]]:
    for record in records:
        if record["type"] == "rater":
            yield {name: record[name] for name in ("rater", "source", "practice_tries", *RATER_TIMES)}


def write_folder(
    store: StudyStore, name: str, folder: Path, *forms: Format, features: FeatureStore | None = None
) -> list[Path]:
    """Write the export into a new folder, each table in each of the forms; returns its files.

    There is a table of features where `features` is the feature store that the study was drawn from. Raises NotFound,
    UserError where the folder cannot be written.
    """
    study, writers = store.study(name), {form: _writer(form) for form in forms}
    columns: dict[str, Sequence[Column]] = dict(TABLES)
    rows: dict[str, Callable[[], Iterator[Row]]] = {table: partial(table_rows, store, name, table) for table in TABLES}
    of_features = feature_table(store, name, features) if features is not None else None
    if of_features is not None:
        columns["features"], rows["features"] = of_features.columns, of_features.rows
    if folder.exists():
        raise UserError(f"{folder} is there already; name a new folder with --out.")
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for form, write in writers.items():
            for table, read in rows.items():
                write(part / f"{table}.{form}", columns[table], read())
        _write_csv(part / "codebook.csv", CODEBOOK, codebook(columns))
        with (part / "archive.jsonl").open("wb") as file:
            archive.write(store, name, file)
        (part / "protocol.json").write_text(canonical_json(study.protocol), "utf-8", newline="")
        part.rename(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another place with --out.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(folder.iterdir())


Write = Callable[[Path, Sequence[Column], Iterable[Row]], None]


def _writer(form: Format) -> Write:
    if form == "csv":
        return _write_csv
    return _write_jsonl if form == "jsonl" else _parquet_writer()


def _write_csv(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines(rows, [column.name for column in columns]))


def _write_jsonl(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in rows:
            file.write(json.dumps({column.name: row[column.name] for column in columns}, ensure_ascii=False) + "\n")


def _parquet_writer() -> Write:
    """Raises UserError where the library is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UserError("Parquet needs a library: pip install 'dartboard[parquet]'; or use --format csv.") from error

    def write(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        kinds: dict[str, Any] = {
            "text": pyarrow.string(),
            "number": pyarrow.int64(),
            "real": pyarrow.float64(),
            "flag": pyarrow.bool_(),
        }
        schema = pyarrow.schema(
            [pyarrow.field(one.name, kinds[one.kind], metadata={"meaning": one.meaning}) for one in columns]
        )
        rest = iter(rows)
        with parquet.ParquetWriter(path, schema) as file:
            while batch := [{one.name: row[one.name] for one in columns} for row in islice(rest, BATCH)]:
                file.write_table(pyarrow.Table.from_pylist(batch, schema=schema))

    return write
