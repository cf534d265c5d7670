"""The study store's migrations: they make what the tables say, refuse what they don't know, and travel with the app."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, create_engine, inspect, select, text

from app.errors import UserError
from app.store.engine import MIGRATIONS, VERSION_TABLE, open_engine
from app.store.study_schema import item, metadata, rater, rating
from app.study import chain
from tests.studies import frozen_study, open_store

WHEN = "'2026-03-01 12:00:00'"
OLD = [  # a study of the first schema, with the answers of two raters
    "INSERT INTO study (id, name, title, instructions, state, protocol, protocol_hash, secret, key_salt, key_commitment, "
    f"report, created_at) VALUES (1, 'old', 't', 'i', 'open', '{{}}', 'the hash', 's', 's', 'c', '{{}}', {WHEN})",
    "INSERT INTO item (id, study_id, public_id, task, pages, turns) VALUES (1, 1, 'an item', 'page', '{}', 1)",
    f"INSERT INTO rater (id, study_id, pseudonym, label, created_at) VALUES (1, 1, 'r-1', 'Ada', {WHEN})",
    f"INSERT INTO rater (id, study_id, pseudonym, label, created_at) VALUES (2, 1, 'r-2', 'Bea', {WHEN})",
    *(
        "INSERT INTO assignment (id, rater_id, item_id, position, flip, public_id, state, claimed_at, lease_until, served_at) "
        f"VALUES ({number}, {number}, 1, 1, false, 'p{number}', '{state}', {WHEN}, {WHEN}, {WHEN})"
        for number, state in ((1, "accepted"), (2, "surplus"))
    ),
    *(
        "INSERT INTO rating (id, assignment_id, revision, answer, server_ms, visible_ms, staff, at) "
        f"VALUES ({number}, {assignment}, {revision}, '{{\"score\":{score}}}', 9, NULL, false, {WHEN})"
        for number, assignment, revision, score in ((1, 1, 1, 2), (2, 1, 2, 5), (3, 2, 1, 3))
    ),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_url")
    return f"sqlite:///{tmp_path / 'new' / 'folder' / 'study.sqlite'}"


def version(engine: Engine) -> str:
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one()


def test_migrations_make_the_tables_that_the_code_reads(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:  # what compare_metadata does not look at
            declared = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
            assert {c["name"] for c in inspector.get_check_constraints(table.name)} == declared, table.name
    engine.dispose()


def test_opening_again_keeps_everything(url: str) -> None:
    store = open_store(url)
    study = store.freeze(frozen_study(), "ada")
    before = version(store.engine)
    store.dispose()
    again = open_store(url)
    assert again.study("small") == study
    assert version(again.engine) == before
    again.dispose()


def test_a_store_of_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(UserError, match="schema 9999, newer than this dartboard knows; upgrade dartboard"):
        open_engine(url)
    assert version(engine) == "9999"
    engine.dispose()


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE holiday_photos (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="database of something else"):
        open_engine(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    assert inspect(engine).get_table_names() == ["holiday_photos"]
    engine.dispose()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    path.write_text("these are my notes, not a database\n" * 40)
    with pytest.raises(UserError, match=r"study\.sqlite cannot be opened \(file is not a database\)"):
        open_engine(f"sqlite:///{path}")
    assert path.read_text().startswith("these are my notes")


def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(UserError, match="The folder /proc/dartboard for the study store cannot be made"):
        open_engine("sqlite:////proc/dartboard/study.sqlite")


def test_a_file_that_can_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    open_engine(f"sqlite:///{path}").dispose()
    with pytest.raises(UserError, match=r"cannot be opened \(attempt to write a readonly database\)"):
        open_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(UserError, match=r"cannot be opened \(unable to open database file\)"):
        open_engine(f"sqlite:///file:{tmp_path / 'missing.sqlite'}?mode=ro&uri=true")
    assert not (tmp_path / "missing.sqlite").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "not one that SQLAlchemy reads"),
        ("oracle://somewhere", "can be SQLite or PostgreSQL, not oracle"),
        ("sqlite://", "memory would lose its ratings"),
        ("sqlite:///:memory:", "memory would lose its ratings"),
    ],
)
def test_urls_that_cannot_be_a_study_store(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_engine(url)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(UserError) as caught:
        open_engine("postgresql://ada:secret@127.0.0.1:1/none")
    assert "cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_sqlite_is_set_up_to_keep_what_it_accepted(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'study.sqlite'}")
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    engine.dispose()


def test_migrations_lie_inside_the_package() -> None:
    import app

    assert MIGRATIONS.is_relative_to(Path(app.__file__).parent)
    assert sorted(path.name for path in (MIGRATIONS / "versions").glob("*.py")) == [
        "0001_first.py",
        "0002_whole_study.py",
        "0003_shelf.py",
    ]


def test_a_study_that_was_rated_before_the_chain_is_linked(url: str) -> None:
    """A store of the first schema, with two answers of which one was taken back, moves on with all of them."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "sqlite":
        Path(str(engine.url.database)).parent.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in OLD:
            connection.exec_driver_sql(statement)
    engine.dispose()
    migrated = open_engine(url)
    with migrated.connect() as connection:
        rows = connection.execute(select(rating).order_by(rating.c.number)).all()
        assert [(row.number, row.revision, row.counted, row.answer) for row in rows] == [
            (1, 1, "accepted", {"score": 2}),
            (2, 2, "accepted", {"score": 5}),
            (3, 1, "surplus", {"score": 3}),
        ]
        assert connection.execute(select(item.c.accepted)).scalars().all() == [1]
        assert connection.execute(select(rater.c.source)).scalars().all() == ["invite", "invite"]
    links = []
    for row, who, state in zip(rows, ("r-1", "r-1", "r-2"), ("accepted", "accepted", "surplus"), strict=True):
        content = chain.content(
            rater=who,
            item="an item",
            repeat=0,
            position=1,
            flip=False,
            revision=row.revision,
            state=state,
            answer=row.answer,
            server_ms=row.server_ms,
            visible_ms=row.visible_ms,
            staff=row.staff,
            at=row.at,
        )
        links.append(chain.Link(row.number, row.previous, row.content_hash, row.hash, row.salt, content, False))
    assert list(chain.faults("the hash", links)) == []
    migrated.dispose()
