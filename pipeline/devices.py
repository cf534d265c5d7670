"""Where the model runs and dictionaries encode."""

import torch

from app.errors import UserError


def choose_device(name: str | None) -> str:
    """`cpu`, `cuda` or `cuda:N`; where `name` is None, CUDA if there is any. Raises UserError where there is no such device."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return name
    if kind != "cuda" or not (number == "" or number.isdigit()):
        raise UserError(f"--device {name} is not known; use cpu, cuda or cuda:N.")
    found = torch.cuda.device_count()
    if int(number or 0) >= found:
        raise UserError(f"--device {name}: PyTorch sees {found} CUDA devices here; use --device cpu.")
    return name
