"""Embeddings of a feature store's contexts, beside it: DATA/embeddings.safetensors.

    context[n]    ids of the store's contexts, ascending
    vector[n, d]  float16, of unit length

They are bound to the contexts that they are of, and to the embedder, by hashes: a store that is built again with the same
contexts keeps them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from app.errors import NotFound, UserError
from pipeline.embedder import Embedder
from pipeline.files import read_tensors, read_tensors_header, write_tensors
from pipeline.published import contexts_hash, stored_contexts

AT_A_TIME = 512  # contexts


@dataclass(frozen=True, slots=True)
class Embeddings:
    context: NDArray[np.int64]
    vectors: NDArray[np.float16]
    contexts_hash: str
    embedder: str  # hash of its weights

    def check(self, embedder: Embedder) -> None:
        """Raises UserError where another embedder made these."""
        if self.embedder != embedder.hash:
            raise UserError(f"The embeddings of contexts are not of {embedder.name}; run `dartboard embed` again.")


def embeddings_path(store: Path) -> Path:
    return store.with_name("embeddings.safetensors")


def load_embeddings(store: Path) -> Embeddings:
    """Those of the store at a path. Raises NotFound where there are none, UserError where they are of another store."""
    path = embeddings_path(store)
    if not path.is_file():
        raise NotFound("The contexts of this feature store have no embeddings yet; run `dartboard embed` on it.")
    try:
        tensors, about = read_tensors(path), read_tensors_header(path)
        found = Embeddings(tensors["context"].numpy(), tensors["vector"].numpy(), about["contexts"], about["embedder"])
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path} is not whole ({error}); run `dartboard embed` again.") from error
    if found.contexts_hash != contexts_hash(store):
        raise UserError(f"{path} is of another feature store; run `dartboard embed` again.")
    return found


def has_embeddings(store: Path, embedder: Embedder) -> bool:
    """Whether they are there, of these contexts and by this embedder."""
    try:
        load_embeddings(store).check(embedder)
    except UserError:
        return False
    return True


def embed_contexts(store: Path, embedder: Embedder, advance: Callable[[int], None]) -> int:
    """Embed every context of a store and write the file; `advance` is told of contexts. Gives how many there are."""
    numbers: list[int] = []
    vectors = [np.zeros((0, embedder.width), np.float16)]
    batch: list[str] = []

    def flush() -> None:
        vectors.append(embedder.embed(batch).astype(np.float16))
        advance(len(batch))
        batch.clear()

    for number, text in stored_contexts(store):
        numbers.append(number)
        batch.append(text)
        if len(batch) == AT_A_TIME:
            flush()
    flush()
    tensors = {"context": torch.tensor(numbers, dtype=torch.int64), "vector": torch.from_numpy(np.concatenate(vectors))}
    about = {"contexts": contexts_hash(store), "embedder": embedder.hash, "name": embedder.name}
    write_tensors(embeddings_path(store), tensors, about)
    return len(numbers)
