"""Where the model runs and dictionaries encode."""

import os

import torch

from app.errors import UserError

MAX_WORKERS = 8


def cores() -> int:
    """How many worker processes a build on this computer has unless told otherwise."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(found, MAX_WORKERS)


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
