"""On how many threads, and how exactly, torch multiplies matrices: results depend on both."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Literal

import torch


@contextlib.contextmanager
def one_thread(precision: Literal["highest", "medium"] = "highest") -> Iterator[None]:
    """One thread, so that sums are the same on every machine; `medium`: float32 operands may be rounded to bfloat16."""
    threads, before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(before)


@functools.cache
def fast_dtype() -> torch.dtype:
    """What this processor multiplies fastest: for products on which no result depends, as they only choose."""
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
