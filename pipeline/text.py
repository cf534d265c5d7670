"""Turn token ids into strings that can be shown, one a position, decoded once at build time.

A character may be split over several tokens (an emoji, a CJK character in byte-level BPE). Such tokens are joined: the
whole text stands at the first of them, its *leader*, the others are empty, and activations move to the leader.
"""

import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_JOIN = 5
REPLACEMENT = "\ufffd"
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
# Byte-level BPE (Radford et al. 2019) writes a printable byte as itself, and the others as the characters from 256 on.
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {chr(256 + n): byte for n, byte in enumerate(OTHERS)}


class TokenText:
    """Decodes tokens in context: sentencepiece tokenizers drop a leading space that this keeps.

    Another process that is given one has what was decoded before, and unpacks the tokenizer, which takes long, when it must.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._kept = tokenizer
        self._anchor = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
        self._anchor_text = self._decode(self._anchor)
        self._single: dict[int, str] = {}

    @property
    def _tokenizer(self) -> Any:
        if isinstance(self._kept, bytes):
            self._kept = pickle.loads(self._kept)  # packed below, by another process of the same build
        return self._kept

    def __getstate__(self) -> dict[str, Any]:
        kept = self._kept if isinstance(self._kept, bytes) else pickle.dumps(self._kept)
        return {**self.__dict__, "_kept": kept}

    def show(self, ids: Sequence[int]) -> tuple[list[str], NDArray[np.int64]]:
        """The strings of a context's tokens, and `leader[position]`: where each position's text stands."""
        known = self._single
        whole = [known[token] if token in known else self.single(token) for token in ids]
        if REPLACEMENT not in "".join(whole):
            return whole, np.arange(len(ids))
        strings: list[str] = []
        leaders: list[int] = []
        while len(strings) < len(ids):
            start = len(strings)
            text, width = self._next(ids[start : start + MAX_JOIN])
            strings += [text, *[""] * (width - 1)]
            leaders += [start] * width
        return strings, np.array(leaders)

    def token(self, id: int) -> str:
        """The string of one token by itself. Bytes that are no text alone are shown as <E2 80>; "" where there is no such token."""
        piece: str | None = self._tokenizer.convert_ids_to_tokens(id)
        if piece is None:
            return ""
        text = self.single(id)
        if REPLACEMENT not in text:
            return text
        alone = re.fullmatch("<0x(..)>", piece)  # sentencepiece's name of a byte
        codes = [alone[1]] if alone else [f"{BYTE_OF[char]:02X}" for char in piece if char in BYTE_OF]
        return f"<{' '.join(codes)}>" if codes else text

    def _next(self, ids: Sequence[int]) -> tuple[str, int]:
        first = self.single(ids[0])
        if REPLACEMENT not in first:
            return first, 1
        for width in range(2, len(ids) + 1):
            text = self._after_anchor(ids[:width])
            if REPLACEMENT not in text:
                return text, width
        return first, 1

    def single(self, token: int) -> str:
        """What one token says by itself; with REPLACEMENT in it where it is part of a character."""
        string = self._single.get(token)
        if string is None:
            string = self._single[token] = self._after_anchor([token])
        return string

    def learn(self, ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Decode tokens ahead, each by itself; tells which of them are a part of a character alone."""
        return np.array([REPLACEMENT in self.single(token) for token in ids.tolist()], bool)

    def _after_anchor(self, ids: Sequence[int]) -> str:
        return self._decode([*self._anchor, *ids]).removeprefix(self._anchor_text)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text
