"""What the commands share: the `--data` option, the settings it changes, the study store they open."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.errors import UserError
from app.settings import Settings
from app.store.study import StudyStore
from app.toml import explain

Data = Annotated[Path | None, typer.Option(help="Folder of both stores; DARTBOARD_DATA, or ./data, where unset.")]


def settings_for(**given: Any) -> Settings:
    """Settings from the environment, changed by the options that were given. Raises UserError where they don't fit."""
    try:
        return Settings(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        raise UserError(f"Settings: {explain(error)}") from error


def study_store(settings: Settings) -> StudyStore:
    return StudyStore.open(settings.study_database_url)
