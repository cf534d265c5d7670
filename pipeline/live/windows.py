"""A text of one's own as the contexts that a build would have cut it into."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import prefix_of
from pipeline.text import TokenText


@dataclass(frozen=True, slots=True)
class Windows:
    """`tokens[context, position]` with `sizes[context]` of them in use; what fills up the last one is seen by nothing before it.

    As shown, in one row over all contexts: `strings[token]`, and `leader[token]`, where a token's text stands. `begins`: the
    first token of each context.
    """

    tokens: NDArray[np.int32]
    sizes: tuple[int, ...]
    strings: list[str]
    leader: NDArray[np.int64]

    @property
    def begins(self) -> list[int]:
        return [0, *np.cumsum(self.sizes)[:-1].tolist()]

    @property
    def used(self) -> NDArray[np.bool_]:
        """`used[context, position]`."""
        found: NDArray[np.bool_] = np.arange(self.tokens.shape[1]) < np.array(self.sizes)[:, None]
        return found


def windows(text: str, tokenizer: Any, shown: TokenText, length: int) -> Windows:
    """Cut as `pipeline.corpus` cuts a document, but for its end, which is kept. Empty where the text has no token."""
    prefix = prefix_of(tokenizer)
    step = length - len(prefix)
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    parts = [[*prefix, *ids[start : start + step]] for start in range(0, len(ids), step)]
    tokens = np.zeros((len(parts), length), np.int32)
    strings: list[str] = []
    leaders: list[int] = []
    for row, part in enumerate(parts):
        tokens[row, : len(part)] = part
        some, leader = shown.show(part)
        leaders += (leader + len(strings)).tolist()
        strings += some
    return Windows(tokens, tuple(map(len, parts)), strings, np.array(leaders, np.int64))
