"""Tensors of one file, taken by name: each must be there, of its shape, and finite; and none may be left over."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.errors import UserError

UNTOLD = 8  # names listed in a message


class Weights:
    """What a file holds, and what of it has been taken. `m` and `d` are known once the encoder has been taken."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path = path
        self.left = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        self.names = sorted(self.left)
        self.d = self.m = 0

    def __contains__(self, name: str) -> bool:
        return name in self.left

    def encoder(self, name: str, features_first: bool) -> Tensor:
        """`encoder[m, d]`, stored so or the other way round; sets m and d."""
        tensor = self._number(name)
        if tensor.ndim != 2 or not tensor.numel():
            raise UserError(f"{self.path}: {name} has shape {list(tensor.shape)}, but a matrix was expected.")
        encoder = tensor if features_first else tensor.T
        self.m, self.d = encoder.shape
        return encoder.contiguous()

    def matrix(self, name: str, features_first: bool) -> Tensor:
        """`[m, d]`, stored so or the other way round."""
        tensor = self.take(name, *((self.m, self.d) if features_first else (self.d, self.m)))
        return (tensor if features_first else tensor.T).contiguous()

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor in float32. Raises UserError where it is missing, of another shape, or has NaN or infinite entries."""
        tensor = self._number(name)
        if tensor.shape != shape:
            raise UserError(
                f"{self.path}: {name} has shape {list(tensor.shape)}, but {list(shape)} was expected, "
                "by the encoder's number of features and dimensions."
            )
        return tensor

    def drop(self, names: Iterable[str]) -> None:
        """Leave out what says nothing of the encoding."""
        for name in names:
            self.left.pop(name, None)

    def finish(self) -> None:
        """Raises UserError where a tensor was not used: what it would change is not known."""
        if self.left:
            raise UserError(
                f"{self.path} has tensors that this format's rule does not know: {listed(self.left)}; "
                "what they would change can't be guessed."
            )

    def _number(self, name: str) -> Tensor:
        tensor = self.left.pop(name, None)
        if tensor is None:
            raise UserError(f"{self.path} has no tensor {name}; it has {listed(self.names)}.")
        if tensor.layout != torch.strided or tensor.is_complex():
            raise UserError(
                f"{self.path}: {name} is {tensor.dtype} in a {tensor.layout} layout; dense numbers were expected."
            )
        tensor = tensor.detach().float()
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise UserError(
                f"{self.path}: {name} has {wrong} NaN or infinite entries of {tensor.numel()}; "
                "this dictionary's training failed, or the file is damaged."
            )
        return tensor


def listed(names: Iterable[str]) -> str:
    """Names in a message, not too many."""
    known = sorted(names)
    return ", ".join(known[:UNTOLD]) + (" and more" if len(known) > UNTOLD else "") if known else "none"


def same_size(path: Path, what: str, stated: Any, actual: float) -> None:
    """Raises UserError where a configuration states (not None) another size than the tensors have."""
    if stated is not None and stated != actual:
        raise UserError(f"{path}: {what} is {stated!r}, but by the tensors beside it, it is {actual:g}.")


def whole_number(value: Any, what: str, highest: int | None = None) -> int:
    """`value` as a number ≥ 1, `what` naming it in the message. Raises UserError where it is none, absent, or too high."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        found = "is absent" if value is None else f"is {value!r}"
        raise UserError(f"{what} {found}; a whole number of at least 1 is needed.")
    if highest is not None and value > highest:
        raise UserError(f"{what} is {value}, but there are only {highest} features.")
    return value
