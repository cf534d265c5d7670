"""The repository keeps each rule of tests/architecture.py, and each rule catches what it is there to catch."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.render import environment
from tests import architecture as rules
from tests.serving import ROOT

SAY = '"""What it does."""\n'

# rule, then files of a small tree: each offends the rule once
OFFENCES = [
    (rules.app_imports_no_model_library, {"app/a.py": SAY + "import torch.nn"}),
    (rules.app_imports_no_model_library, {"app/a.py": SAY + "def f():\n    from pipeline.hits import top"}),
    (rules.app_imports_no_model_library, {"app/b/c.py": SAY + "from ...pipeline import hits"}),
    (rules.app_imports_no_model_library, {"app/a.py": SAY + "m = importlib.import_module('transformers')"}),
    (rules.pipeline_imports_no_web, {"pipeline/a.py": SAY + "from fastapi import FastAPI"}),
    (rules.pipeline_imports_no_web, {"pipeline/a.py": SAY + "from app import render"}),
    (rules.pipeline_imports_no_web, {"pipeline/hits.py": SAY + "from app.store.features import FeatureStore"}),
    (rules.study_is_pure, {"app/study/a.py": SAY + "from pathlib import Path"}),
    (rules.study_is_pure, {"app/study/a.py": SAY + "from app.store.study import StudyStore"}),
    (rules.study_is_pure, {"app/study/a.py": SAY + "text = open('x').read()"}),
    (
        rules.no_import_cycle,
        {"app/a.py": "from app import b", "app/b.py": "import app.c.x", "app/c.py": "import app.a"},
    ),
    (rules.no_import_cycle, {"app/a.py": "from app.b import x", "app/b.py": "def f():\n    from app.a import y"}),
    (rules.environment_read_once, {"app/a.py": "import os\nhome = os.environ['HOME']"}),
    (rules.environment_read_once, {"app/a.py": "from os import getenv"}),
    (rules.environment_read_once, {"pipeline/a.py": "import os\nhome = os.getenv('HOME')"}),
    (rules.environment_read_once, {"app/a.py": "port = typer.Option(8000, envvar='PORT')"}),
    (rules.environment_read_once, {"app/a.py": "class More(BaseSettings):\n    x: int"}),
    (rules.no_print, {"app/a.py": "def f():\n    print('hello')"}),
    (rules.no_bare_except, {"app/a.py": "try:\n    f()\nexcept:\n    g()"}),
    (rules.no_bare_except, {"app/a.py": "try:\n    f()\nexcept Exception:\n    pass"}),
    (rules.nothing_happens_at_import, {"app/a.py": "import logging\nlogging.basicConfig()"}),
    (rules.nothing_happens_at_import, {"app/a.py": "with open('x') as f:\n    text = f.read()"}),
    (
        rules.compiled_functions_call_those_of_their_own_file,
        {
            "pipeline/a.py": "@compiled\ndef f(): ...",
            "pipeline/b.py": "from pipeline.a import f\n@compiled\ndef g(): f()",
        },
    ),
    (rules.modules_say_what_they_do, {"pipeline/a.py": "x = 1"}),
    (rules.templates_parse_and_escape, {"templates/a.html": "{{ text|safe }}"}),
    (rules.templates_parse_and_escape, {"templates/a.html": "{% if x %}"}),
    (rules.markup_is_made_where_all_is_escaped, {"app/a.py": "html = Markup(text)"}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": '<p class="x" style="color: red">'}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": "<style>p { color: red }"}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": "<script>alert(1)"}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": '<button\n  onclick="f()">'}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": '<form hx-on:submit="f()">'}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": '<a href="javascript:f()">'}),
    (rules.templates_fit_the_content_policy, {"templates/a.html": '<link rel="x" href="//cdn.example/x">'}),
    (rules.styles_load_nothing_from_elsewhere, {"static/css/a.css": "@import 'https://fonts.example/x.css';"}),
]

KEEPING = {
    "app/__init__.py": "",
    "app/errors.py": SAY + "class Problem(Exception): ...",
    "app/settings.py": SAY + "import os\nhome = os.environ.get('HOME')",
    "app/store/features.py": SAY + "import sqlite3\nfrom app.errors import Problem",
    "app/study/sampling.py": SAY + "import math\nfrom collections.abc import Iterator\nfrom app.errors import Problem",
    "app/cli.py": SAY + "from app import errors, settings\nimport typer\napp = typer.Typer()\napp.add_typer(errors)",
    "pipeline/publish.py": SAY + "import torch\nfrom app.store import x\ntry:\n    f()\nexcept OSError:\n    pass",
    "templates/a.html": '{% extends "b" %}{{ text|e }} <script src="/static/x.js" defer></script> a style = b',
    "static/css/a.css": "@import 'tokens.css'; p { background: url(data:image/png;base64,AAAA) }",
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps_the_rule(rule: rules.Rule) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_rule_passes_what_keeps_it(rule: rules.Rule, tmp_path: Path) -> None:
    plant(tmp_path, KEEPING)
    assert rule(tmp_path) == []


@pytest.mark.parametrize(("rule", "files"), OFFENCES, ids=lambda part: getattr(part, "__name__", ""))
def test_the_rule_catches_what_breaks_it(rule: rules.Rule, files: dict[str, str], tmp_path: Path) -> None:
    plant(tmp_path, files)
    assert len(rule(tmp_path)) == 1


def test_every_rule_is_shown_to_catch_something() -> None:
    assert {rule for rule, _ in OFFENCES} == set(rules.RULES)


def test_the_real_environment_compiles_and_escapes_every_template() -> None:
    assert environment().autoescape is True
    names = environment().list_templates()
    assert {environment().get_template(name).name for name in names} == set(names) != set()


def test_importing_the_app_loads_no_model_library_and_writes_nothing(tmp_path: Path) -> None:
    modules = [rules.module_name(path) for path, _ in rules.sources(ROOT, "app") if "migrations" not in path.parts]
    code = (
        f"import importlib, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print([name for name in ('pipeline', *{rules.HEAVY!r}) if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == []


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
