"""The wall around the key, read from the source: who may name the sealed table, and who may reach its one reader."""

from pathlib import Path

from tests.architecture import imports, module_name, nearest, sources
from tests.serving import ROOT

SEALED = "app.store.sealed"


def graph() -> dict[str, set[str]]:
    modules = {module_name(path): (path, tree) for path, tree in sources(ROOT, "app")}
    return {
        module: {found for _, name in imports(path, tree) if (found := nearest(name, modules))}
        for module, (path, tree) in modules.items()
    }


def reached_from(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = {start}
    while ahead:
        module = ahead.pop()
        found.add(module)
        ahead |= edges.get(module, set()) - found
    return found


def test_the_sealed_table_is_written_once_and_read_in_one_module() -> None:
    naming = {path.as_posix() for path, _ in sources(ROOT, "app") if "item_key" in (ROOT / path).read_text("utf-8")}
    assert naming == {
        "app/store/study_schema.py",
        "app/store/migrations/versions/0001_first.py",
        "app/store/migrations/versions/0002_whole_study.py",
        "app/store/studies.py",
        "app/store/sealed.py",
    }
    writer = (ROOT / "app/store/studies.py").read_text("utf-8")
    assert writer.count("item_key") == writer.count("insert(t.item_key)") == 1


def test_the_key_of_a_study_that_is_not_revealed_is_read_to_verify_it_alone() -> None:
    naming = {path.as_posix() for path, _ in sources(ROOT, "app") if "unopened(" in (ROOT / path).read_text("utf-8")}
    assert naming == {"app/store/sealed.py", "app/archive.py"}
    naming = {path.as_posix() for path, _ in sources(ROOT, "app") if "to_verify(" in (ROOT / path).read_text("utf-8")}
    assert naming == {"app/archive.py", "app/verify.py"}


def test_nothing_that_a_rater_reaches_reaches_the_key() -> None:
    edges = graph()
    rater_modules = {module for module in edges if module.startswith("app.rate")}
    assert "app.rate.routes" in rater_modules
    beyond = {SEALED, "app.export", "app.archive", "app.verify", "app.freeze", "app.store.archive", "app.store.sweep"}
    beyond |= {
        "app.store.shelf",
        "app.browse.shelf",
        "app.browse.lists",
        "app.browse.ratings",
    }  # notes, and what was rated
    for module in rater_modules:
        assert not beyond & reached_from(module, edges), module
    assert "app.store.study" in reached_from("app.rate.routes", edges), "the walk does follow imports"
    assert SEALED in reached_from("app.export", edges)


def test_migrations_are_not_a_package() -> None:
    """Alembic runs env.py as a script; nothing imports it by accident."""
    assert not (ROOT / Path("app/store/migrations/__init__.py")).exists()
