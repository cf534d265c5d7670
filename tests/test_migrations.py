"""The study store's migrations: they make what the tables say, refuse what they don't know, and travel with the app."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, create_engine, inspect, text

from app.errors import UserError
from app.store.engine import MIGRATIONS, VERSION_TABLE, open_engine
from app.store.study_schema import metadata
from tests.studies import frozen_study, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
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
    ]
