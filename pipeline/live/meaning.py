"""Contexts by meaning: the store's contexts nearest to a query, by the cosine of their embeddings."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.embedder import load_embedder
from pipeline.embeddings import load_embeddings


class Meaning:
    """Loads the embedder, and what `dartboard embed` left beside the store. Raises NotFound, UserError where it can't."""

    def __init__(self, store: Path) -> None:
        embeddings = load_embeddings(store)
        self.embedder = load_embedder()
        embeddings.check(self.embedder)
        self.context = embeddings.context
        self.vectors = embeddings.vectors.astype(np.float32)

    def nearest(self, query: str, limit: int) -> dict[str, Any]:
        """The answer, ready for JSON: ids of contexts and their cosines, best first; of equals, the lower id."""
        cosine = self.vectors @ self.embedder.embed([query])[0]
        order = np.argsort(-cosine, kind="stable")[:limit]
        return {"contexts": self.context[order].tolist(), "cosines": cosine[order].astype(float).tolist()}
