"""How tokens are shown in the store: a text's strings, and hits moved to where joined tokens stand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.hit_arrays import Hits
from pipeline.tables import Outputs
from pipeline.text import REPLACEMENT, TokenText


class Shown:
    """The contexts `tokens[context, position]` of a text; `used[context]` notes those that hits name."""

    def __init__(self, tokens: NDArray[np.int32], text: TokenText) -> None:
        self.tokens = tokens
        self.text = text
        self.used = np.zeros(len(tokens), bool)
        self._leaders: dict[int, NDArray[np.int64]] = {}  # of contexts in which tokens are joined

    def strings(self, context: int) -> list[str]:
        return self.text.show(self.tokens[context].tolist())[0]

    def tokens_at(self, context: NDArray[np.integer], position: NDArray[np.integer]) -> list[str]:
        """What stands at some positions, joined tokens whole."""
        self._use(context)
        found = []
        places = zip(context.tolist(), position.tolist(), self.tokens[context, position].tolist(), strict=True)
        for one, at, token in places:
            leaders = self._leaders.get(one)
            found.append(self.text.single(token) if leaders is None else self.strings(one)[int(leaders[at])])
        return found

    def on_leaders(self, hits: Hits) -> Hits:
        """Hits with joined tokens at their leader, by the extreme of their activations."""
        self._use(hits.context)
        joined = np.array(sorted(self._leaders), np.int64)
        if not len(joined) or not np.isin(hits.context, joined).any():
            return hits
        leaders = np.tile(np.arange(self.tokens.shape[1], dtype=np.uint16), (len(joined) + 1, 1))
        for number, context in enumerate(joined.tolist()):
            leaders[number] = self._leaders[context]
        row = np.minimum(np.searchsorted(joined, hits.context), len(joined) - 1)
        row = np.where(joined[row] == hits.context, row, len(joined))  # the last row moves nothing
        owner = np.repeat(np.arange(len(hits)), hits.active)
        positions = leaders[row[owner], hits.positions]
        begins = np.ones(len(owner), bool)
        begins[1:] = (owner[1:] != owner[:-1]) | (positions[1:] != positions[:-1])
        first = np.flatnonzero(begins)
        largest, smallest = (extreme.reduceat(hits.values, first) for extreme in (np.maximum, np.minimum))
        return replace(
            hits,
            peak=leaders[row, hits.peak],
            active=np.bincount(owner[first], minlength=len(hits)).astype(np.uint16),
            positions=positions[first],
            values=np.where(smallest < 0, smallest, largest),
        )

    def _use(self, context: NDArray[np.integer]) -> None:
        before = self.used.copy()
        self.used[context] = True
        new = np.flatnonzero(self.used & ~before)
        ids = np.unique(self.tokens[new])
        broken = [token for token in ids.tolist() if REPLACEMENT in self.text.single(token)]
        for one in new[np.isin(self.tokens[new], broken).any(1)].tolist():
            self._leaders[one] = self.text.show(self.tokens[one].tolist())[1]


def output_rows(outputs: Outputs, text: TokenText) -> Iterator[str]:
    """JSON `{"top": [[token, value], …], "bottom": […]}` of each feature."""
    sides = ((outputs.top_token, outputs.top_value), (outputs.bottom_token, outputs.bottom_value))
    ids = np.unique(np.concatenate([token for token, _ in sides]))
    strings = {token: json.dumps(text.token(token)) for token in ids.tolist()}
    listed = chain.from_iterable((token.tolist(), value.round(4).astype(float).tolist()) for token, value in sides)
    for top, top_value, bottom, bottom_value in zip(*listed, strict=True):
        above, below = (
            ", ".join(f"[{strings[token]}, {round(value, 4)}]" for token, value in zip(tokens, values, strict=True))
            for tokens, values in ((top, top_value), (bottom, bottom_value))
        )
        yield f'{{"top": [{above}], "bottom": [{below}]}}'
