"""How tokens are shown in the store: a text's strings, and hits moved to where joined tokens stand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Contexts
from pipeline.hit_arrays import Hits
from pipeline.tables import Outputs
from pipeline.text import TokenText

CONTEXTS_AT_A_TIME = 4096
JOINED_KEPT = 4096  # contexts


class Shown:
    """The contexts of a text as they are shown. Where tokens are joined in many contexts is found out as it is asked for."""

    def __init__(self, contexts: Contexts, text: TokenText) -> None:
        self.contexts = contexts
        self.text = text
        ids = _ids(contexts.tokens)
        self._broken = np.zeros(int(ids.max(initial=0)) + 1, bool)  # by token: a part of a character
        self._broken[ids] = text.learn(ids)
        # of contexts in which tokens are joined: what stands where, and the leaders
        self._joined: dict[int, tuple[list[str], NDArray[np.int64]]] = {}
        if contexts.count <= JOINED_KEPT:
            self._joined_in(np.arange(contexts.count))

    def strings(self, context: int) -> list[str]:
        if context in self._joined:
            return self._joined[context][0]
        return self.text.show(self.contexts.tokens[context].tolist())[0]

    def tokens_at(self, context: NDArray[np.integer], position: NDArray[np.integer]) -> list[str]:
        """What stands at some positions, joined tokens whole."""
        joined = self._joined_in(context)
        found = []
        tokens = self.contexts.tokens[context, position].tolist()
        for one, at, token in zip(context.tolist(), position.tolist(), tokens, strict=True):
            if one in joined:
                strings, leaders = joined[one]
                found.append(strings[int(leaders[at])])
            else:
                found.append(self.text.single(token))
        return found

    def on_leaders(self, hits: Hits) -> Hits:
        """Hits with joined tokens at their leader, by the extreme of their activations."""
        found = self._joined_in(hits.context)
        if not found:
            return hits
        joined = np.array(sorted(found), np.int64)
        leaders = np.tile(np.arange(self.contexts.length, dtype=np.uint16), (len(joined) + 1, 1))
        for number, context in enumerate(joined.tolist()):
            leaders[number] = found[context][1]
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

    def _joined_in(self, context: NDArray[np.integer]) -> dict[int, tuple[list[str], NDArray[np.int64]]]:
        """By context, of those of the given ones in which tokens are joined."""
        some = np.unique(context)
        some = some[self._broken[self.contexts.tokens[some]].any(1)]
        if len(self._joined) > JOINED_KEPT:
            self._joined.clear()
        for one in some.tolist():
            if one not in self._joined:
                self._joined[one] = self.text.show(self.contexts.tokens[one].tolist())
        return {one: self._joined[one] for one in some.tolist()}


def _ids(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """The tokens that a text has, ascending; read a piece at a time."""
    present = np.zeros(0, bool)
    for first in range(0, len(tokens), CONTEXTS_AT_A_TIME):
        some = np.bincount(tokens[first : first + CONTEXTS_AT_A_TIME].reshape(-1), minlength=len(present)) > 0
        some[: len(present)] |= present
        present = some
    return np.flatnonzero(present)


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
