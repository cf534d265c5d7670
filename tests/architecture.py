"""The rules of the house, read from the source: each rule takes a repository's root and lists what breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError

PACKAGES = ("app", "pipeline")
HEAVY = ("torch", "transformers")
WEB = ("fastapi", "starlette", "jinja2", "uvicorn")
PIPELINE_MAY_IMPORT = ("app.__version__", "app.errors", "app.files", "app.settings", "app.toml")
MARKUP_MODULES = ("app/render.py", "app/browse/pieces.py", "app/markdown.py", "app/results/figures.py")
STORE_MODULES = (
    *("pipeline/publish.py", "pipeline/publish_search.py", "pipeline/published.py", "pipeline/rows.py"),
    "pipeline/scores/read.py",
    "pipeline/scores/store.py",
)
# What app/study may import: nothing here can open a file, a database or a connection.
PURE = (
    *("__future__", "abc", "base64", "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "fractions"),
    *("functools", "hashlib", "hmac", "itertools", "json", "math", "operator", "random", "re", "statistics", "string"),
    *("types", "typing", "unicodedata", "warnings", "numpy", "pydantic", "app.errors", "app.study"),
    # statistics: they could open files, and are not asked to
    *("krippendorff", "numpyro", "jax", "scipy", "statsmodels"),
)

Rule = Callable[[Path], list[str]]


def sources(root: Path, *packages: str) -> Iterator[tuple[Path, ast.Module]]:
    """Each Python file of the packages with its syntax tree; paths relative to the root."""
    for package in packages or PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root), ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, wherever in the file; relative imports resolved."""
    package = path.parent.parts
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
                module = ".".join(filter(None, (base, node.module)))
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            case ast.Call(
                func=ast.Name("__import__") | ast.Name("import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(str(name)), *_],
            ):
                yield node.lineno, name


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def app_imports_no_model_library(root: Path) -> list[str]:
    """The base install has no torch: app never imports pipeline, torch or transformers."""
    return [
        f"{path}:{line}: app imports {name}"
        for path, tree in sources(root, "app")
        for line, name in imports(path, tree)
        if within(name, ("pipeline", *HEAVY))
    ]


def pipeline_imports_no_web(root: Path) -> list[str]:
    """pipeline imports no web library, and of app a few plain modules only: its store, too, in two files."""
    found = []
    for path, tree in sources(root, "pipeline"):
        allowed = (*PIPELINE_MAY_IMPORT, *(["app.store"] if path.as_posix() in STORE_MODULES else []))
        found += [
            f"{path}:{line}: pipeline imports {name}"
            for line, name in imports(path, tree)
            if within(name, WEB) or (within(name, ("app",)) and not within(name, allowed))
        ]
    return found


def study_is_pure(root: Path) -> list[str]:
    """app/study does no I/O: it imports from a list of modules that cannot, and opens nothing."""
    found = []
    for path, tree in sources(root, "app/study"):
        found += [f"{path}:{line}: imports {name}" for line, name in imports(path, tree) if not within(name, PURE)]
        found += [f"{path}:{line}: calls {name}" for line, name in calls(tree) if name in ("open", "input")]
    return found


def no_import_cycle(root: Path) -> list[str]:
    """Imports point one way, those inside functions too."""
    modules = {module_name(path): (path, tree) for path, tree in sources(root)}
    graph = {
        module: {target for _, name in imports(path, tree) if (target := nearest(name, modules)) and target != module}
        for module, (path, tree) in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" → ".join(reversed(error.args[1]))]
    return []


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def nearest(name: str, modules: dict[str, tuple[Path, ast.Module]]) -> str | None:
    """The module that `name` stands in: itself, or, where it names something in a module, that module."""
    return name if name in modules else (parent if (parent := name.rpartition(".")[0]) in modules else None)


def environment_read_once(root: Path) -> list[str]:
    """Only app/settings.py reads the environment."""
    found = []
    for path, tree in sources(root):
        if path == Path("app/settings.py"):
            continue
        names = [(line, name) for line, name in imports(path, tree) if name in ("os.environ", "os.getenv")]
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name("os"), attr="environ" | "environb" | "getenv" as name):
                    names.append((node.lineno, f"os.{name}"))
                case ast.keyword(arg="envvar"):
                    names.append((node.value.lineno, "envvar="))
                case ast.ClassDef(bases=[*_, ast.Name("BaseSettings")]):
                    names.append((node.lineno, "BaseSettings"))
        found += [f"{path}:{line}: {name} outside app/settings.py" for line, name in names]
    return found


def no_print(root: Path) -> list[str]:
    """Output goes through a console that knows whether it is a terminal, never through print."""
    return [f"{path}:{line}: print" for path, tree in sources(root) for line, name in calls(tree) if name == "print"]


def no_bare_except(root: Path) -> list[str]:
    """A handler names what it handles, and nothing is swallowed whole."""
    return [
        f"{path}:{node.lineno}: except without a class, or for all of them with nothing done"
        for path, tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or swallows_everything(node))
    ]


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    everything = isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    return everything and all(isinstance(statement, ast.Pass) for statement in handler.body)


def nothing_happens_at_import(root: Path) -> list[str]:
    """A module's body defines things; a bare call may only fill something that the module itself made.

    Alembic's env.py is a script by design and exempt.
    """
    return [
        f"{path}:{node.lineno}: runs at import"
        for path, tree in sources(root)
        if path.name != "env.py"
        for node in running(tree.body, {name.id for part in tree.body for name in ast.walk(part) if is_stored(name)})
    ]


def compiled_functions_call_those_of_their_own_file(root: Path) -> list[str]:
    """What numba keeps on disk holds what it called, and is made anew when its own file changes, not when theirs do."""
    compiling = {
        ".".join(path.with_suffix("").parts): (path, tree)
        for path, tree in sources(root, "pipeline")
        if any(
            isinstance(node, ast.FunctionDef)
            and {"compiled", "reordered"} & {part.id for part in node.decorator_list if isinstance(part, ast.Name)}
            for node in tree.body
        )
    }
    return [
        f"{path}:{line}: imports {name}, which is compiled, too"
        for path, tree in compiling.values()
        for line, name in imports(path, tree)
        if any(name == other or name.startswith(f"{other}.") for other in compiling)
    ]


def running(body: list[ast.stmt], own: set[str]) -> Iterator[ast.stmt]:
    """The statements of a module's body that do more than define."""
    for node in body:
        match node:
            case ast.For():
                yield from running(node.body, own)
            case ast.While() | ast.With() | ast.Delete() | ast.Raise():
                yield node
            case ast.Expr(value=ast.Call(func=func)) if root_name(func) not in own:
                yield node


def is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def root_name(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def modules_say_what_they_do(root: Path) -> list[str]:
    """Each module with code in it begins with a docstring."""
    return [f"{path}: no docstring" for path, tree in sources(root) if tree.body and not ast.get_docstring(tree)]


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(name)):
                yield node.lineno, name


def templates(root: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted((root / "templates").rglob("*")):
        if path.is_file():
            yield path.relative_to(root), path.read_text("utf-8")


def templates_parse_and_escape(root: Path) -> list[str]:
    """Each template is Jinja, and none switches escaping off: no `|safe`, no `autoescape false`."""
    found = []
    environment = Environment(autoescape=True)
    for path, text in templates(root):
        try:
            tree = environment.parse(text)
        except TemplateSyntaxError as error:
            found.append(f"{path}:{error.lineno}: {error.message}")
            continue
        found += [f"{path}:{node.lineno}: |safe" for node in tree.find_all(nodes.Filter) if node.name == "safe"]
        found += [f"{path}:{node.lineno}: autoescape" for node in tree.find_all(nodes.ScopedEvalContextModifier)]
    return found


def markup_is_made_where_all_is_escaped(root: Path) -> list[str]:
    """Text is declared to be HTML in three places, which tests feed with hostile text: token rows, instructions, charts."""
    return [
        f"{path}:{line}: Markup"
        for path, tree in sources(root)
        if path.as_posix() not in MARKUP_MODULES
        for line, name in calls(tree)
        if name == "Markup"
    ]


INLINE = {
    "a style attribute": re.compile(r"<[a-z][^<>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an inline script": re.compile(r"<script\b(?![^>]*\ssrc\s*=)", re.IGNORECASE),
    "an event handler": re.compile(r"<[a-z][^<>]*\s(?:on[a-z]+|hx-on[:a-z-]*)\s*=", re.IGNORECASE),
    "a javascript: address": re.compile(r"""["']\s*(?:javascript|js):""", re.IGNORECASE),
    "something loaded from another host": re.compile(
        r"""<(?:script|link|img|iframe|source|use)\b[^>]*\s(?:src|href)\s*=\s*["'](?:https?:)?//""", re.IGNORECASE
    ),
}


def templates_fit_the_content_policy(root: Path) -> list[str]:
    """No style, script or event handler inside a page, nothing from another host: the browser would refuse it."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}"
        for path, text in templates(root)
        for what, pattern in INLINE.items()
        for match in pattern.finditer(text)
    ]


def styles_load_nothing_from_elsewhere(root: Path) -> list[str]:
    """Style sheets name no other host."""
    pattern = re.compile(r"""(?:url\(|@import)\s*["']?\s*(?:https?:)?//""", re.IGNORECASE)
    return [
        f"{path.relative_to(root)}: {match.group()}"
        for path in sorted((root / "static").rglob("*.css"))
        for match in pattern.finditer(path.read_text("utf-8"))
    ]


RULES: tuple[Rule, ...] = (
    app_imports_no_model_library,
    pipeline_imports_no_web,
    study_is_pure,
    no_import_cycle,
    environment_read_once,
    no_print,
    no_bare_except,
    nothing_happens_at_import,
    compiled_functions_call_those_of_their_own_file,
    modules_say_what_they_do,
    templates_parse_and_escape,
    markup_is_made_where_all_is_escaped,
    templates_fit_the_content_policy,
    styles_load_nothing_from_elsewhere,
)
