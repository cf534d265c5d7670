"""`study verify`: it passes on a study that was rated, withdrawals included, and names what was changed by one byte."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app import archive
from app.errors import Conflict, NotFound, UserError
from app.freeze import prepare
from app.store.engine import writing
from app.store.features import FeatureStore
from app.store.study import StudyStore
from app.study import chain
from app.study.frozen import FrozenStudy
from app.study.protocol import Protocol
from app.study.verify import faults
from app.verify import compare, redraw, verify_archive, verify_store
from tests.studies import SetClock, answer, open_store

DESIGN = {
    "name": "small",
    "title": "Which is clearer?",
    "seed": 5,
    "raters_per_item": 2,
    "arm": [
        {"name": "trained", "dictionaries": ["topk-sae"]},
        {"name": "untrained", "dictionaries": ["random-sign"]},
        {"name": "null-pages", "control": "null"},
    ],
    "layout": {"contexts": 3, "width": 24},
    "tasks": {
        "page": {"features": 2},
        "pair": {"pairs": 4, "contrasts": [["trained", "untrained"]]},
        "intruder": {"features": 1, "width": 24, "trials": 1},
    },
    "catch": {"planted": 1, "instructed": 1},
}


@pytest.fixture(scope="module")
def frozen(features: FeatureStore) -> FrozenStudy:
    return prepare(Protocol.model_validate(DESIGN), features)


@pytest.fixture
def store(tmp_path: Path, frozen: FrozenStudy):
    opened = begun(f"sqlite:///{tmp_path / 'study.sqlite'}", frozen)
    yield opened
    opened.dispose()


def begun(url: str, frozen: FrozenStudy) -> StudyStore:
    """A study that three raters have begun; one of them has withdrawn, one has taken an answer back."""
    clock = SetClock()
    opened = open_store(url, clock)
    opened.freeze(frozen, "ada")
    raters = [opened.add_rater("small", f"rater {number}", "ada") for number in range(3)]
    for number in range(30):
        rater = raters[number % 3]
        opened.consent(rater)
        opened.start(rater)
        clock.forward(seconds=1.5)
        answer(opened, rater, number)
    opened.undo(raters[0])
    clock.forward(seconds=1.5)
    answer(opened, raters[0], 3)
    opened.withdraw(raters[1], "ada")
    return opened


def close_and_reveal(store: StudyStore) -> None:
    store.close("small", "ada")
    store.reveal("small", "ada")


def change(store: StudyStore, statement: str, **values: Any) -> None:
    with writing(store.engine) as connection:
        done = connection.execute(text(statement), values) if values else connection.exec_driver_sql(statement)
        assert done.rowcount


def value(store: StudyStore, query: str) -> Any:
    with store.engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def written(store: StudyStore, path: Path) -> Path:
    with path.open("wb") as file:
        archive.write(store, "small", file)
    return path


def test_a_study_holds_in_each_state_with_a_withdrawal_in_it(store: StudyStore, tmp_path: Path) -> None:
    assert verify_store(store, "small") == []
    sealed = written(store, tmp_path / "sealed.jsonl")
    close_and_reveal(store)
    assert verify_store(store, "small") == []
    opened = written(store, tmp_path / "opened.jsonl")
    assert verify_archive(sealed) == verify_archive(opened) == []
    assert list(compare(store, "small", sealed)) == list(compare(store, "small", opened)) == []
    numbers = value(store, "SELECT count(*) FROM rating WHERE withdrawn_at IS NOT NULL")
    assert numbers == 10, "the tombstones are there"


def test_the_head_stays_what_it_was_when_a_rater_withdraws(store: StudyStore) -> None:
    before = next(archive.records(store, "small"))["head"]
    rater = store.raters("small")[0].rater
    store.withdraw(rater, "ada")
    study = next(archive.records(store, "small"))
    assert study["head"] == before
    assert study["ratings"] == 31
    assert verify_store(store, "small") == []


CHANGES = [
    # a byte of a rating
    ("UPDATE rating SET server_ms = server_ms + 1 WHERE number = 7", r"rating 7: its content is not what was hashed"),
    ("UPDATE rating SET staff = NOT staff WHERE number = 7", r"rating 7: its content is not what was hashed"),
    ("UPDATE rating SET counted = 'surplus' WHERE number = 7", r"rating 7: its content is not what was hashed"),
    ("UPDATE rating SET salt = 'pepper' WHERE number = 7", r"rating 7: its content is not what was hashed"),
    (
        'UPDATE rating SET answer = \'{"score":5,"x":1}\' WHERE number = 7',
        r"rating 7: its content is not what was hash",
    ),
    (
        "UPDATE assignment SET position = 99 WHERE id = (SELECT assignment_id FROM rating WHERE number = 7)",
        r"rating 7: its content is not what was hashed .*rater r-\w+, item \w+, revision 1",
    ),
    (
        "UPDATE rating SET content_hash = 'x' WHERE number = 7",
        r"rating 7: its content is not .*|rating 7: its hash does not",
    ),
    ("UPDATE rating SET hash = 'x' WHERE number = 7", r"rating 7: its hash does not fit"),
    ("UPDATE rating SET previous = 'x' WHERE number = 7", r"rating 7: its link to the rating before it does not hold"),
    ("DELETE FROM rating WHERE number = 7", r"rating 8: rating 7 should stand here"),
    ("DELETE FROM rating WHERE number = 31", r"^$"),  # the last one: the store alone cannot know; an export does
    (
        "DELETE FROM rating WHERE number > 28",
        r"assignment of item \w+ to rater r-\w+: it is accepted, not leased",
    ),
    (
        "UPDATE assignment SET state = 'withdrawn' WHERE id = (SELECT assignment_id FROM rating WHERE number = 7)",
        r"assignment of item \w+ to rater r-\w+: it is withdrawn, not accepted",
    ),
    (
        "UPDATE assignment SET state = 'leased' WHERE id = (SELECT assignment_id FROM rating WHERE number = 7)",
        r"assignment of item \w+ to rater r-\w+: it is leased, not accepted",
    ),
    (
        "UPDATE rating SET withdrawn_at = at, answer = NULL, salt = NULL WHERE number = 7",
        r"rating 7: it is withdrawn, but ",
    ),
    ("UPDATE rating SET answer = NULL, salt = NULL WHERE number = 7", r"rating 7: its content is gone, yet"),
    ("UPDATE rating SET answer = '{}', salt = 'x' WHERE number = 8", r"rating 8: it was withdrawn, yet its content is"),
    # of the protocol
    (
        "UPDATE study SET protocol = replace(protocol, '\"seed\":5', '\"seed\":6')",
        r"protocol: its text does not have the SHA",
    ),
    ("UPDATE study SET protocol_hash = 'x'", r"protocol: its text does not have|rating 1: its link"),
    ("UPDATE study SET title = 'Which is clearer'", r"study: its title is not the protocol's"),
    ("UPDATE study SET instructions = 'x'", r"study: its instructions is not the protocol's"),
    # of the key
    ("UPDATE study SET key_salt = 'x'", r"key: the row of item \w+, page a, is not what was committed to"),
    ("UPDATE study SET key_commitment = 'x'", r"key: its rows, their seals or its salt are not those"),
    ("UPDATE study SET secret = 'x'", r"item \w+: its id does not follow from the study's secret"),
    # of what raters saw
    (
        "UPDATE item SET turns = 1 - turns WHERE id = (SELECT min(id) FROM item)",
        r"item \w+: what it shows is not what was",
    ),
    (
        "UPDATE item SET purpose = 'catch' WHERE id = (SELECT min(id) FROM item WHERE purpose = 'main')",
        r"item \w+: what it",
    ),
]


@pytest.mark.parametrize(("statement", "message"), CHANGES)
def test_one_change_is_named(store: StudyStore, tmp_path: Path, statement: str, message: str) -> None:
    before = written(store, tmp_path / "before.jsonl")
    change(store, statement)
    found = verify_store(store, "small")
    if message == "^$":
        assert found == []
        assert list(compare(store, "small", before)) == ["rating 31: it is in the archive, and not in the store"]
        return
    assert found, "the change went unseen"
    assert re.search(message, found[0]), found
    assert not any(arm in fault for fault in found for arm in ("trained", "null-pages", "topk-sae")), "it says no arm"


@pytest.mark.parametrize("column", ["arm", "dictionary", "stratum", "feature", "seal"])
def test_a_change_of_the_key_is_named(store: StudyStore, column: str) -> None:
    new = {"stratum": "'{}'", "feature": "7777"}.get(column, "'other'")
    where = "(SELECT min(item_id) FROM item_key WHERE dictionary IS NOT NULL) AND page = 'a'"
    change(store, f"UPDATE item_key SET {column} = {new} WHERE item_id = {where}")
    item = value(
        store, "SELECT public_id FROM item WHERE id = (SELECT min(item_id) FROM item_key WHERE dictionary IS NOT NULL)"
    )
    assert verify_store(store, "small")[0] == f"key: the row of item {item}, page a, is not what was committed to"


def test_a_page_that_was_changed_with_its_hash_is_named(store: StudyStore, features: FeatureStore) -> None:
    item = value(store, "SELECT public_id FROM item WHERE task = 'page' AND purpose = 'main' ORDER BY id LIMIT 1")
    change(store, "UPDATE item SET content_hash = 'x' WHERE public_id = :item", item=item)
    assert verify_store(store, "small")[0] == f"item {item}: what it shows is not what was frozen"
    assert list(redraw(store, "small", features)) == []
    record = next(one for one in archive.records(store, "small") if one.get("item") == item)
    pages = json.dumps(record["pages"]).replace('"peak": ', '"peak": 1', 1)
    change(store, "UPDATE item SET pages = :pages WHERE public_id = :item", item=item, pages=pages)
    assert list(redraw(store, "small", features)) == [
        f"item {item}: its pages is not what drawing the study anew gives"
    ]


def test_a_key_that_was_changed_is_found_by_drawing_anew(store: StudyStore, features: FeatureStore) -> None:
    assert list(redraw(store, "small", features)) == []
    item = value(store, "SELECT public_id FROM item WHERE id = (SELECT min(item_id) FROM item_key)")
    change(
        store, "UPDATE item_key SET arm = 'other' WHERE item_id = (SELECT min(item_id) FROM item_key) AND page = 'a'"
    )
    assert list(redraw(store, "small", features)) == [
        f"key: the row of item {item}, page a, is not what drawing the study anew gives"
    ]


def test_a_report_that_was_changed_is_found_by_drawing_anew(store: StudyStore, features: FeatureStore) -> None:
    change(store, "UPDATE study SET report = replace(report, '\"pages\": ', '\"pages\": 1')")
    assert list(redraw(store, "small", features)) == [
        "study: its report of what was drawn is not what drawing the study anew gives"
    ]


def test_a_study_of_the_first_version_is_not_accused(store: StudyStore) -> None:
    change(store, "UPDATE study SET protocol = replace(protocol, '\"version\":2', '\"version\":1')")
    with pytest.raises(UserError, match=r"“small” was frozen by dartboard 0\.1, before"):
        verify_store(store, "small")


def test_another_feature_store_is_refused(store: StudyStore, features: FeatureStore) -> None:
    study = value(store, "SELECT protocol FROM study")
    digest = json.loads(study)["feature_digest"]
    change(store, "UPDATE study SET protocol = :text", text=study.replace(digest, "0" * 64))
    with pytest.raises(UserError, match=r"features\.sqlite is not the feature store that “small” was drawn from"):
        list(redraw(store, "small", features))


def test_more_ratings_than_an_item_may_have(store: StudyStore) -> None:
    change(
        store,
        "UPDATE study SET protocol = replace(protocol, '\"raters_per_item\":2', '\"raters_per_item\":1')",
    )
    assert any("it has 2 accepted ratings, 1 are allowed" in fault for fault in verify_store(store, "small"))


def test_every_byte_of_an_archive_counts(store: StudyStore, tmp_path: Path) -> None:
    close_and_reveal(store)
    path = written(store, tmp_path / "archive.jsonl")
    whole = path.read_bytes()
    changed = tmp_path / "changed.jsonl"
    for place in range(0, len(whole), len(whole) // 40):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"changed\.jsonl"):
            verify_archive(changed)
    changed.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(UserError, match=r"ends after line .*, without its last line; it was cut off"):
        verify_archive(changed)
    changed.write_bytes(whole + b"\n")
    with pytest.raises(UserError, match="was changed after it was written"):
        verify_archive(changed)
    with pytest.raises(NotFound, match=r"There is no file .*missing\.jsonl; `dartboard study export` writes one"):
        verify_archive(tmp_path / "missing.jsonl")


def test_an_archive_that_was_forged_with_care_differs_from_the_store(store: StudyStore, tmp_path: Path) -> None:
    """Whoever computes every hash anew gets a chain that holds; but its head is another one."""
    lines = [json.loads(line) for line in written(store, tmp_path / "archive.jsonl").read_text().splitlines()]
    ratings = [line for line in lines if line["type"] == "rating"]
    [seventh] = [line for line in ratings if line["number"] == 7]
    assert chain.link(seventh["previous"], 7, seventh["content_hash"]) == seventh["hash"]
    seventh["content_hash"] = "0" * 64
    found = list(faults(lines[:-1]))
    assert found[0].startswith("rating 7: its content is not")
    assert found[1].startswith("rating 7: its hash does not fit")


def test_postgresql_gives_the_same_archive_and_takes_it_in(
    store: StudyStore, frozen: FrozenStudy, tmp_path: Path, postgresql_url: str
) -> None:
    path = written(store, tmp_path / "archive.jsonl")
    other = open_store(postgresql_url)
    archive.load(other, path, "ada")
    assert written(other, tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    other.dispose()


def test_a_study_on_postgresql_holds(postgresql_url: str, frozen: FrozenStudy) -> None:
    opened = begun(postgresql_url, frozen)
    assert verify_store(opened, "small") == []
    change(opened, "UPDATE rating SET server_ms = server_ms + 1 WHERE number = 7")
    assert verify_store(opened, "small")[0].startswith("rating 7: its content is not what was hashed")
    opened.dispose()


@pytest.mark.parametrize("state", ["open", "revealed"])
def test_a_study_taken_in_gives_the_same_archive(store: StudyStore, tmp_path: Path, state: str) -> None:
    if state == "revealed":
        close_and_reveal(store)
    path = written(store, tmp_path / "archive.jsonl")
    other = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert archive.load(other, path, "ada") == "small"
    assert written(other, tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    if state == "revealed":
        assert verify_store(other, "small") == []
    assert other.audit()[0].what == "import"
    with pytest.raises(Conflict, match="import it into another store"):
        archive.load(other, path, "ada")
    other.dispose()


@pytest.mark.parametrize(("old", "new"), [('"flip":', '"flip":null,"was":'), ('"turns":0', '"turns":1' + "0" * 20)])
def test_an_archive_that_no_store_can_hold_is_refused(store: StudyStore, tmp_path: Path, old: str, new: str) -> None:
    *lines, _ = written(store, tmp_path / "archive.jsonl").read_bytes().splitlines(keepends=True)
    lines = [line.replace(old.encode(), new.encode()) for line in lines]
    end = {"type": "end", "lines": len(lines), "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    forged = tmp_path / "forged.jsonl"
    forged.write_bytes(b"".join([*lines, json.dumps(end).encode() + b"\n"]))
    other = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    with pytest.raises(UserError, match=r"forged\.jsonl lacks what a study needs"):
        archive.load(other, forged, "ada")
    assert other.studies() == []
    other.dispose()


def test_an_archive_says_no_names_and_before_the_reveal_no_key(store: StudyStore, tmp_path: Path) -> None:
    before = written(store, tmp_path / "archive.jsonl").read_text()
    assert "rater 0" not in before
    assert '"secret"' not in before
    assert '"key"' not in before
    assert '"stratum"' not in before
    close_and_reveal(store)
    after = written(store, tmp_path / "archive.jsonl").read_text()
    assert '"stratum"' in after
    assert '"key_salt"' in after
