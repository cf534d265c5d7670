"""docs/commands.md, made from the commands themselves by `python -m docs.commands`; a test holds the two together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli import command

PAGE = Path(__file__).parent / "commands.md"
INTRODUCTION = """# Commands

Made by `make docs` from the commands' own help. A mistake in what is given is answered in one sentence, with exit
code 2; any other failure with exit code 1.
"""


@dataclass(frozen=True)
class Parameter:
    """An option (`names` holds --this and --no-this) or an argument (`names` is empty)."""

    name: str
    names: tuple[str, ...]
    help: str
    default: str


@dataclass(frozen=True)
class Command:
    path: str
    help: str
    example: str
    parameters: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        arguments = [parameter.name for parameter in self.parameters if not parameter.names]
        options = ["[OPTIONS]"] if len(arguments) < len(self.parameters) else []
        return " ".join([self.path, *options, *arguments])


def walk() -> Iterator[Command]:
    """Each command that can be run, groups left out, in alphabetical order."""
    yield from _walk(command(), "dartboard")


def _walk(found: Any, path: str) -> Iterator[Command]:
    if hasattr(found, "list_commands"):
        for name in sorted(found.list_commands(None)):
            yield from _walk(found.get_command(None, name), f"{path} {name}")
    elif not found.hidden:
        text = f"{found.help or ''}\n\n{found.epilog or ''}"
        examples = re.findall(rf"(?m)^\s*(?:Example: *)?`?({path}\b[^`\n]*)`?\s*$", text)
        prose = re.sub(r"(?m)^\s*(?:Example: *)?`?dartboard\b.*$|\b|\f", "", text)
        parameters = tuple(map(_parameter, (p for p in found.params if not p.hidden and p.name != "help")))
        yield Command(path, prose.strip(), "\n".join(examples), parameters)


def _parameter(found: Any) -> Parameter:
    is_option = found.param_type_name == "option"
    name = found.name if is_option else found.metavar or found.name.upper()
    names = (*found.opts, *found.secondary_opts) if is_option else ()
    default = "" if found.default in (None, False) or found.required or callable(found.default) else str(found.default)
    return Parameter(name, names, found.help or "", default)


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *map(_section, walk())])


def _section(found: Command) -> str:
    lines = [f"## {found.path}", "", found.help, "", "```console", f"$ {found.example}", "```", ""]
    if found.parameters:
        lines += [f"Usage: `{found.usage}`", "", "| | meaning | default |", "|---|---|---|"]
        lines += [f"| {_names(p)} | {_cell(p.help)} | {_cell(p.default)} |" for p in found.parameters]
        lines.append("")
    return "\n".join(lines)


def _names(parameter: Parameter) -> str:
    return ", ".join(f"`{name}`" for name in parameter.names or (parameter.name,))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
