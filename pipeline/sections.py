"""What every part of BUILD.toml is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]


class Section(BaseModel):
    """Unknown keys are refused; what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
