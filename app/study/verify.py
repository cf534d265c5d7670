"""Whether a study's records are what was frozen and what was answered: everything that can be derived again, is.

    for fault in faults(records): …

Records are those of `app.store.archive`. A fault is one sentence that names the place; none says what an item is. Without
the key (before the reveal, in an export) what hangs on it is not looked at.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.study import chain
from app.study.blinding import content_hash, item_id, key_row, seal, sealed, sha256_hex
from app.study.frozen import KeyRow
from app.study.protocol import Protocol

Record = Mapping[str, Any]


def faults(records: Iterable[Record]) -> Iterator[str]:
    """What does not hold, in the order of the records. Raises KeyError where a record lacks a field."""
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        kinds[record["type"]].append(record)
    [study] = kinds["study"]
    yield from _protocol(study)
    yield from _items(study, kinds["item"])
    yield from _ratings(study, kinds["rating"], kinds["assignment"])
    yield from _raters(kinds["rater"], kinds["rating"])
    yield from _assignments(kinds["rater"], kinds["assignment"], kinds["rating"])
    yield from _counts(study, kinds["item"], kinds["assignment"])


def _protocol(study: Record) -> Iterator[str]:
    if sha256_hex(study["protocol"]) != study["protocol_hash"]:
        yield "protocol: its text does not have the SHA-256 that was noted when it was frozen"
        return
    try:
        protocol = Protocol.from_canonical(study["protocol"])
    except ValueError as error:
        yield f"protocol: it can't be read ({str(error).splitlines()[0]})"
        return
    for key, value in (
        ("name", protocol.name),
        ("title", protocol.title),
        ("instructions", protocol.texts.instructions),
    ):
        if study[key] != value:
            yield f"study: its {key} is not the protocol's"


def _items(study: Record, items: list[Record]) -> Iterator[str]:
    for item in items:
        shown = {key: item[key] for key in ("item", "purpose", "task", "turns", "expected", "pages")}
        if content_hash(shown) != item["content_hash"]:
            yield f"item {item['item']}: what it shows is not what was frozen"
    salt = study.get("key_salt")
    if salt is None:
        return
    seals = []
    for item in items:
        for row in item.get("key", ()):
            of_key = KeyRow(row["page"], row["arm"], row["dictionary"], row["feature"], row["stratum"])
            if seal(salt, key_row(item["item"], of_key, item["content_hash"])) != row["seal"]:
                yield f"key: the row of item {item['item']}, page {row['page']}, is not what was committed to"
            seals.append(row["seal"])
    if sealed(salt, seals) != study["key_commitment"]:
        yield "key: its rows, their seals or its salt are not those of the commitment made before the first rating"
    expected = {item_id(study["secret"], number) for number in range(len(items))}
    strange = sorted({item["item"] for item in items} - expected)
    for name in strange:
        yield f"item {name}: its id does not follow from the study's secret"


def _ratings(study: Record, ratings: list[Record], assignments: list[Record]) -> Iterator[str]:
    shown = {(one["rater"], one["item"], one["repeat"]): one for one in assignments}
    links = []
    for one in ratings:
        content = None
        place = shown.get((one["rater"], one["item"], one["repeat"]))
        if place is None:
            yield f"rating {one['number']}: its assignment is gone (rater {one['rater']}, item {one['item']})"
            continue
        if one["answer"] is not None:
            content = {
                **{
                    key: one[key]
                    for key in ("rater", "item", "repeat", "revision", "answer", "server_ms", "visible_ms")
                },
                **{key: one[key] for key in ("staff", "at")},
                **{key: place[key] for key in ("position", "flip")},
                "state": one["counted"],
            }
        withdrawn = one["withdrawn_at"] is not None
        hashes = (one["previous"], one["content_hash"], one["hash"])
        links.append(chain.Link(one["number"], *hashes, one["salt"], content, withdrawn))
    yield from chain.faults(study["protocol_hash"], links)
    if len(ratings) != study["ratings"]:
        yield f"ratings: there are {len(ratings)}, but {study['ratings']} were counted"
    if chain.head(study["protocol_hash"], links) != study["head"]:
        yield "ratings: the last one's hash is not the head that was noted"
    revealed = study["revealed_at"]
    for one in ratings:
        if revealed is not None and one["at"] > revealed:
            yield f"rating {one['number']}: it came at {one['at']}, after the reveal"


def _raters(raters: list[Record], ratings: list[Record]) -> Iterator[str]:
    """A tombstone is right where its rater withdrew, and then all of that rater's ratings are tombstones."""
    withdrawn = {one["rater"] for one in raters if one["withdrawn_at"] is not None}
    for one in ratings:
        if (one["withdrawn_at"] is not None) != (one["rater"] in withdrawn):
            word = "is" if one["withdrawn_at"] is not None else "is not"
            other = "has not" if one["withdrawn_at"] is not None else "has"
            yield f"rating {one['number']}: it {word} withdrawn, but its rater {one['rater']} {other} withdrawn"


def _assignments(raters: list[Record], assignments: list[Record], ratings: list[Record]) -> Iterator[str]:
    """An assignment is in the state in which its last rating was counted, is answered by one at least, or withdrawn."""
    counted = {(one["rater"], one["item"], one["repeat"]): one["counted"] for one in ratings}
    withdrawn = {one["rater"] for one in raters if one["withdrawn_at"] is not None}
    for one in assignments:
        said = counted.get((one["rater"], one["item"], one["repeat"]), "leased")
        if one["state"] != (right := "withdrawn" if one["rater"] in withdrawn else said):
            yield f"assignment of item {one['item']} to rater {one['rater']}: it is {one['state']}, not {right}"


def _counts(study: Record, items: list[Record], assignments: list[Record]) -> Iterator[str]:
    try:
        most = Protocol.from_canonical(study["protocol"]).raters_per_item
    except ValueError:
        return
    main = {item["item"] for item in items if item["purpose"] == "main"}
    accepted = Counter(one["item"] for one in assignments if one["state"] == "accepted" and not one["repeat"])
    for name, number in sorted(accepted.items()):
        if name in main and number > most:
            yield f"item {name}: it has {number} accepted ratings, {most} are allowed"
