"""Values as a small pickle and the large buffers of their arrays and tensors, so that processes can read those in place."""

import pickle
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack


@dataclass(frozen=True, slots=True)
class Packed:
    """A value in parts: `buffers[n]` are the bytes of its arrays and tensors, `rest` everything else."""

    rest: bytes
    buffers: list[NDArray[np.uint8]]


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor and value.device.type == "cpu" and value.layout is torch.strided:
            flat: Any = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            return _tensor, (pickle.PickleBuffer(flat), value.dtype, tuple(value.shape))
        return NotImplemented


def pack(value: Any) -> Packed:
    """Anything that pickle takes; tensors come back without their gradients, and contiguous."""
    file, buffers = BytesIO(), list[NDArray[np.uint8]]()

    def keep(buffer: pickle.PickleBuffer) -> None:
        buffers.append(np.frombuffer(buffer.raw(), np.uint8))

    _Pickler(file, protocol=5, buffer_callback=keep).dump(value)
    return Packed(file.getvalue(), buffers)


def unpack(packed: Packed, *, copy: bool) -> Any:
    """The value. Without a copy its arrays and tensors lie in the packed buffers, and must not be changed."""
    buffers = [bytearray(buffer) if copy else buffer for buffer in packed.buffers]
    return pickle.loads(packed.rest, buffers=buffers)  # packed by another worker of the same build


def _tensor(buffer: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    flat = np.frombuffer(buffer, np.uint8)
    # Not from_numpy, which warns of memory that may not be written.
    return from_dlpack(flat).view(dtype).reshape(shape) if flat.size else torch.empty(shape, dtype=dtype)
