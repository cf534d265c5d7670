"""A summary on disk, in blocks of WIDTH features: whoever merges one block of many summaries reads that block alone.

A file begins with a u64 for each block, where it begins; a block is a pickled summary that counts its features from 0.
"""

import pickle
from pathlib import Path

import numpy as np

from pipeline.files import whole
from pipeline.hits import Summary

WIDTH = 512


def blocks(m: int) -> int:
    """How many blocks m features make."""
    return -(-m // WIDTH)


def write_blocks(path: Path, summary: Summary) -> None:
    pieces = summary.cut(WIDTH)
    begins = np.zeros(len(pieces), "<u8")
    with whole(path) as temporary, temporary.open("wb") as file:
        file.seek(begins.nbytes)
        for number, piece in enumerate(pieces):
            begins[number] = file.tell()
            pickle.dump(piece, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.seek(0)
        file.write(begins.tobytes())


def read_block(path: Path, number: int) -> Summary:
    with path.open("rb") as file:
        file.seek(8 * number)
        file.seek(int.from_bytes(file.read(8), "little"))
        summary: Summary = pickle.load(file)  # written by a build, in its own work folder
    return summary
