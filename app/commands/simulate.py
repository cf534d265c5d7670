"""`dartboard study simulate`: a study rated by simulated raters, to try the analysis and the results page on."""

import math
from pathlib import Path
from typing import Annotated

import typer

from app.commands import Data, settings_for, study_store
from app.errors import UserError
from app.freeze import load_protocol, prepare
from app.store.features import FeatureStore

app = typer.Typer()


@app.command(epilog="Example: dartboard study simulate demo/STUDY.toml --share random=0.5 --data rehearsal")
def simulate(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file; docs/study-file.md explains it.")],
    raters: Annotated[
        int | None, typer.Option(min=1, max=200, help="Simulated raters; as many as an item gets, where unset.")
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="ARM=SHARE of interpretable pages, the truth to be found; give one or more."),
    ] = None,
    careless: Annotated[float, typer.Option(min=0, max=1, help="Share of raters who answer at random.")] = 0.0,
    leak: Annotated[float, typer.Option(min=0, max=1, help="Share of guesses that simply know the arm.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Every simulated answer follows from it.")] = 0,
    data: Data = None,
) -> None:
    """Have a copy of a study rated by simulated raters, closed, guessed and revealed: a rehearsal of its analysis.

    The copy's name begins with `simulated-`, and every rater of it is marked as simulated wherever a study is shown or exported.
    """
    from app.simulate import fill, supposed, tokens
    from app.study.simulated import as_simulated
    from app.study.simulated.items import as_drawn

    settings = settings_for(data=data)
    protocol = as_simulated(load_protocol(file))
    truth = supposed(protocol, _shares(share or []), careless, leak)
    study_store(settings).check_name_is_free(protocol.name)
    frozen = prepare(protocol, FeatureStore(settings.feature_path), tokens(seed))
    truth = as_drawn(truth, frozen.items)
    number = raters or protocol.raters_per_item
    study = fill(settings.study_database_url, frozen, truth, number, seed)
    typer.echo(f"Simulated “{study.name}”: {number} raters who are no people; rated, closed and revealed.")
    for name in truth.arms:
        typer.echo(f"  {name}: {truth.rate(name):.3f} of its pages count as interpretable, in truth")


def _shares(given: list[str]) -> dict[str, float]:
    """Arms' shares of `ARM=SHARE`. Raises UserError."""
    found = {}
    for text in given:
        arm, _, value = text.partition("=")
        try:
            found[arm] = float(value)
        except ValueError:
            found[arm] = math.nan
        if not 0 < found[arm] < 1:
            raise UserError(f"--share is {text!r}; write an arm and a share between 0 and 1, such as trained=0.5.")
    return found
