"""The exported tables as an analysis takes them: rows exactly as in docs/export.md, cells typed as the codebook says.

    Tables(ratings=list(table_rows(store, name, "ratings")), items=…, raters=…, protocol=protocol)

`checked` refuses what is not an export, or was edited into something that can't be one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.errors import UserError
from app.study.answers import CHOICES, HIGHEST, LOWEST, PIECES, SKIPS, UNKNOWN
from app.study.intruders import THIRDS
from app.study.protocol import Protocol

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Tables:
    """`items` give strata and content, `raters` sources, `features` machine scores; each may be empty.

    Of `features` the columns that begin with `score_` are machine scores; `dictionary` and `feature` say whose.
    """

    ratings: Sequence[Row]
    items: Sequence[Row] = ()
    raters: Sequence[Row] = ()
    features: Sequence[Row] = ()
    protocol: Protocol | None = None


STAMP = ("study", "protocol_hash", "key_commitment", "chain_head")
NEEDED = {
    "ratings": (
        *STAMP,
        *("rater", "item", "purpose", "repeat", "side", "task", "value", "skip", "server_ms", "staff", "right"),
        *("arm", "dictionary", "feature", "third", "other_arm"),
    ),
    "items": (*STAMP, "item", "purpose", "task", "page", "content", "arm", "dictionary", "feature", "stratum"),
    "raters": (*STAMP, "rater", "source"),
    "features": ("dictionary", "feature"),
}
SCORES = tuple(str(score) for score in range(LOWEST, HIGHEST + 1))
VALUES: Mapping[str, tuple[str, ...] | None] = {
    "page-score": SCORES,
    "pair-score": SCORES,
    "pair-choice": CHOICES,
    "intruder-pick": tuple(str(piece) for piece in range(1, PIECES + 1)),
    "guess": None,
}
MOST_STRATA = 100
PURPOSES = ("main", "catch", "guess")


def checked(tables: Tables) -> Tables:
    """The tables, if they are an export of a revealed study. Raises UserError: which table, which row, what is wrong."""
    every = {"ratings": tables.ratings, "items": tables.items, "raters": tables.raters, "features": tables.features}
    for name, rows in every.items():
        lacking = [column for column in NEEDED[name] if rows and column not in rows[0]]
        if lacking:
            raise UserError(
                f"{name} lacks the column{'s'[: len(lacking) > 1]} {', '.join(lacking)}; export the study again."
            )
    if not tables.ratings:
        raise UserError("ratings holds no rating; there is nothing to analyse.")
    first = {key: tables.ratings[0][key] for key in STAMP}
    for name, rows in every.items():
        for number, row in enumerate(rows if name != "features" else (), start=1):
            for key in STAMP:
                if row[key] != first[key]:
                    raise _fault(name, number, f"{key} is {row[key]!r}, and {first[key]!r} in the first row of ratings")
    if tables.protocol and tables.protocol.name != first["study"]:
        raise UserError(
            f"protocol.json is of the study “{tables.protocol.name}”, the ratings are of “{first['study']}”."
        )
    _check_ratings(tables)
    for number, row in enumerate(tables.items, start=1):
        if row["stratum"] is not None and not _is_stratum(row["stratum"]):
            raise _fault("items", number, f"stratum is {row['stratum']!r}, which is no stratum")
    return tables


def _check_ratings(tables: Tables) -> None:
    if all(row["arm"] is None for row in tables.ratings):
        raise UserError("The ratings name no arm: reveal the study, then export it again.")
    arms = {arm.name for arm in tables.protocol.arms} if tables.protocol else None
    of_item = _arms(tables.items)
    seen: dict[tuple[Cell, ...], int] = {}
    known: dict[tuple[Cell, ...], tuple[int, tuple[Cell, ...]]] = {}
    for number, row in enumerate(tables.ratings, start=1):
        for fault in _faults_of(row):
            raise _fault("ratings", number, fault)
        key = tuple(row[name] for name in ("rater", "item", "task", "side", "repeat"))
        if key in seen:
            raise _fault("ratings", number, f"it answers the same question as row {seen[key]}")
        seen[key] = number
        if row["purpose"] == "catch":
            continue
        shown = {name for name in (row["arm"], row["other_arm"]) if name is not None}
        if arms is not None and shown - arms:
            raise _fault(
                "ratings", number, f"arm is {sorted(map(str, shown - arms))[0]!r}, which the protocol does not have"
            )
        if arms is not None and row["task"] == "guess" and row["value"] not in (*arms, UNKNOWN):
            raise _fault("ratings", number, f"value is {row['value']!r}, which is no arm to guess")
        if of_item and row["item"] not in of_item:
            raise _fault("ratings", number, f"item is {row['item']!r}, which is not in items")
        if of_item and shown != of_item[row["item"]]:
            raise _fault("ratings", number, "its arm is not the one that items names for this item")
        what = tuple(sorted(map(str, shown)))
        before = known.setdefault((row["item"],), (number, what))
        if before[1] != what:
            raise _fault("ratings", number, f"its arm is not the one of row {before[0]}, which is of the same item")


def _is_stratum(text: Cell) -> bool:
    """Whether a text is JSON of a stratum: an object, its decile a number from 0, its flag a flag."""
    try:
        found = json.loads(str(text))
    except ValueError:
        return False
    if not isinstance(found, dict):
        return False
    decile, single = (found.get(key) for key in ("decile", "single_token"))
    return (decile is None or (type(decile) is int and 0 <= decile < MOST_STRATA)) and isinstance(single, bool | None)


def _arms(items: Iterable[Row]) -> dict[Cell, set[Cell]]:
    """The arms of each item."""
    found: dict[Cell, set[Cell]] = {}
    for row in items:
        found.setdefault(row["item"], set()).add(row["arm"])
    return found


def _faults_of(row: Row) -> Iterator[str]:
    """What keeps one row of ratings from being an answer, one after another."""
    task, value = row["task"], row["value"]
    if task not in VALUES:
        yield f"task is {task!r}; it should be one of {', '.join(VALUES)}"
        return
    if row["purpose"] not in PURPOSES:
        yield f"purpose is {row['purpose']!r}; it should be one of {', '.join(PURPOSES)}"
    if row["rater"] is None or row["item"] is None:
        yield "it names no rater, or no item"
    if row["repeat"] not in (0, 1):
        yield f"repeat is {row['repeat']!r}; it should be 0 or 1"
    if row["skip"] is not None and row["skip"] not in SKIPS:
        yield f"skip is {row['skip']!r}; it should be one of {', '.join(SKIPS)}"
    if (value is None) == (row["skip"] is None):
        yield (
            "it has a value and a reason for skipping"
            if value is not None
            else "it has neither a value nor a reason for it"
        )
    allowed = VALUES[str(task)]
    if value is not None and allowed is not None and value not in allowed:
        yield f"value is {value!r}; for {task} it should be one of {', '.join(allowed)}"
    if row["arm"] is None:
        yield "arm is empty, though other rows name theirs"
    if str(task).startswith("pair") and (row["other_arm"] is None or row["side"] not in ("left", "right")):
        yield "a pair has a side, left or right, and another arm"
    if task == "intruder-pick" and (row["third"] not in THIRDS or (value is not None and row["right"] is None)):
        yield f"an intruder trial has a third ({', '.join(THIRDS)}) and says whether it was right"
    if isinstance(row["server_ms"], int | float) and row["server_ms"] < 0:
        yield f"server_ms is {row['server_ms']}; it cannot be below 0"


def _fault(table: str, number: int, what: str) -> UserError:
    return UserError(f"{table}, row {number}: {what}. Analyse the export as it was written.")
