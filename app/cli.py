"""The `dartboard` command: studies, logins, serving, exports, figures.

Other packages add commands by the entry point group `dartboard.commands`: each names a `typer.Typer` whose commands
appear beside these. It is loaded when such a command is asked for, so that `dartboard serve` imports no torch.
"""

import errno
import gc
import socket
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from app.commands import Data, settings_for, study_store
from app.commands.analyse import app as analyse
from app.commands.report import app as report
from app.commands.study import app as study
from app.errors import DartboardError, UserError
from app.state import FeatureFile

LINK_MINUTES = 24 * 60
LINK_DAYS = 30
LINK_LABEL = "serve --links"
COLLECTED_AT = (50_000, 20, 50)  # objects and rounds between collections: pages leave few cycles


class Commands(TyperGroup):
    """This file's commands and those of the entry points; an error that a user can cause is one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DartboardError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_code) from error

    def list_commands(self, ctx: Any) -> list[str]:
        added = [name for point in _points() for name in _load(point).commands]
        return sorted({*super().list_commands(ctx), *added})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        for point in () if found else _points():
            found = found or _load(point).commands.get(cmd_name)
        return found


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(analyse)
app.add_typer(report)
app.add_typer(study, name="study", help="Make, open, close and reveal blind studies.")


@app.callback()
def root() -> None:
    """Browse the features of a language model's dictionaries, rate them blind, and export the ratings."""


@app.command(epilog="Example: dartboard login --role analyst --name Ada")
def login(
    role: Annotated[str, typer.Option(help="admin, who runs studies, or analyst, who browses and exports.")] = "admin",
    name: Annotated[str, typer.Option(help="Whom the audit log will name.")] = "admin",
    minutes: Annotated[int, typer.Option(min=1, max=7 * 24 * 60, help="How long the link works.")] = 60,
    data: Data = None,
) -> None:
    """Print a link that logs one person in, once."""
    if role not in ("admin", "analyst"):
        raise UserError(f"There is no role {role!r}; use admin or analyst.")
    settings = settings_for(data=data)
    token = study_store(settings).login_link("admin" if role == "admin" else "analyst", name, minutes, actor="cli")
    typer.echo(f"{settings.public_url}/login/{token}")


@app.command(epilog="Example: dartboard serve --port 8080 --links")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 where unset.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; 8000 where unset.")] = None,
    links: Annotated[
        bool, typer.Option("--links", help="Print ready links: log in, rate each open study, admin.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="Let staff read texts of their own: starts a worker that loads the model."),
    ] = False,
    data: Data = None,
) -> None:
    """Serve the pages to browse, rate and administer."""
    import uvicorn

    from app.main import create_app

    settings = settings_for(data=data, host=host, port=port, live=live or None)
    listener = _listen(settings.host, settings.port)
    application = create_app(settings)
    threading.Thread(target=_warm, args=(application.state.feature_file,), name="warm", daemon=True).start()
    for line in (
        _links(settings.public_url, application.state.study) if links else [f"Serving on {settings.public_url}"]
    ):
        typer.echo(line)
    # No access log: the address of an invite or a login is a secret.
    config = uvicorn.Config(application, access_log=False, log_level="warning", server_header=False)
    uvicorn.Server(config).run(sockets=[listener])


def _warm(file: FeatureFile) -> None:
    """Read what lists are made of. All of that stays: the collector, which stops every request, need not look at it."""
    file.warm()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AT)


@app.command(epilog="Example: dartboard export demo --out ratings.csv")
def export(
    name: Annotated[str | None, typer.Argument(help="The study.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; the standard output where unset.")] = None,
    neuronpedia: Annotated[
        Path | None,
        typer.Option(help="In place of a study, write the feature store to this folder, as Neuronpedia's bulk files."),
    ] = None,
    dictionary: Annotated[
        list[str] | None, typer.Option(help="With --neuronpedia: a dictionary to write; all of them where unset.")
    ] = None,
    creator: Annotated[str, typer.Option(help="With --neuronpedia: who is named as the author.")] = "dartboard",
    creator_id: Annotated[
        str | None,
        typer.Option(help="With --neuronpedia: the author's id there; the one that SAEDashboard writes where unset."),
    ] = None,
    release: Annotated[str, typer.Option(help="With --neuronpedia: the release's name.")] = "dartboard",
    data: Data = None,
) -> None:
    """Write a study's final ratings as CSV: one row a question; docs/export.md explains each column."""
    if neuronpedia is not None:
        from app.neuronpedia import DEFAULT_CREATOR, Creator, write_export
        from app.store.features import FeatureStore

        if name is not None or out is not None:
            raise UserError("--neuronpedia writes the feature store, not a study: leave out the study and --out.")
        author = Creator(creator, creator_id or DEFAULT_CREATOR)
        store = FeatureStore(settings_for(data=data).feature_path)
        for line in write_export(store, neuronpedia, author, release, dictionary or ()):
            typer.echo(line, err=True)
        return
    if name is None:
        raise UserError("Name the study to export, or write the features with --neuronpedia DIR.")
    from app.export import csv_text

    text = csv_text(study_store(settings_for(data=data)), name)
    if out is None:
        typer.echo(text.encode(), nl=False)
        return
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_bytes(text.encode())
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another place with --out.") from error
    typer.echo(f"Wrote {out}", err=True)


@app.command(epilog="Example: dartboard page topk-sae 684 1207 --out features.html")
def page(
    dictionary: Annotated[str | None, typer.Argument(help="The dictionary; none with --list.")] = None,
    features: Annotated[list[str] | None, typer.Argument(help="Numbers of features.")] = None,
    name: Annotated[str | None, typer.Option("--list", help="A list to write, with its notes.")] = None,
    user: Annotated[str, typer.Option(help="Whose list: the name of a login.")] = "admin",
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("features.html"),
    data: Data = None,
) -> None:
    """Write features, or a list of them, as one HTML file that opens from disk and loads nothing."""
    from app.commands.page import save_list, save_named

    settings = settings_for(data=data)
    if (name is None) == (dictionary is None or not features):
        raise UserError("Name a dictionary and the numbers of its features, or a list with --list.")
    if name is not None:
        save_list(settings, study_store(settings), user, name, out)
    else:
        save_named(settings, dictionary or "", features or [], out)
    typer.echo(f"Wrote {out}", err=True)


@app.command(epilog="Example: dartboard info --digest")
def info(
    digest: Annotated[
        bool, typer.Option("--digest", help="Print the SHA-256 of the feature, hit and context rows.")
    ] = False,
    data: Data = None,
) -> None:
    """Print the feature store's figures: sites, dictionaries, what the build took."""
    from app.commands.info import describe
    from app.store.features import FeatureStore

    store = FeatureStore(settings_for(data=data).feature_path)
    for line in [store.digest()] if digest else describe(store):
        typer.echo(line)


def command() -> Any:
    """The whole command as a click group, entry points included."""
    return get_command(app)


def main() -> None:
    command()(prog_name="dartboard")


def _points() -> Sequence[EntryPoint]:
    return sorted(entry_points(group="dartboard.commands"))


def _load(point: EntryPoint) -> TyperGroup:
    try:
        return get_group(point.load())
    except ModuleNotFoundError as error:
        raise UserError(
            f"`dartboard {point.name}` needs {error.name}, which is not installed: pip install 'dartboard[pipeline]'."
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UserError where the port is taken or the address is not ours."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"Port {port} on {host} is taken; stop what listens there, or choose another --port."
            ) from error
        raise UserError(
            f"Cannot listen on {host}, port {port} ({error.strerror}); choose another --host or --port."
        ) from error


def _links(base: str, store: Any) -> Iterator[str]:
    """Addresses ready to open. Each call makes a new login, and an invite of the one rater whom these links are for."""
    yield f"Browse   {base}/login/{store.login_link('admin', 'admin', LINK_MINUTES, 'cli')}"
    studies = [found.name for found in store.studies() if found.state == "open"]
    for name in studies:
        known = [entry.rater for entry in store.raters(name) if entry.rater.label == LINK_LABEL]
        rater = known[0] if known else store.add_rater(name, LINK_LABEL, "cli")
        yield f"Rate     {base}/invite/{store.invite(name, rater.id, LINK_DAYS, 'cli')}"
    yield f"Admin    {base}/admin"
    stranger = "; to rate as a stranger, open a link to rate in another browser or a private window" if studies else ""
    yield f"The first link logs you in, once{stranger}."
