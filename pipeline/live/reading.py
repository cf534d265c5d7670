"""What a page shows of a text that was read: the strongest features of a selection of tokens, and where given ones fire."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import NotFound
from pipeline.dictionaries import Codes
from pipeline.live.sites import Encoded, LiveSite
from pipeline.live.work import Going

KEPT = 8  # texts whose codes are kept at hand: a reader looks at one text again and again …
KEPT_ACTIVATIONS = 2**25  # … while all of them together have no more than these


@dataclass(frozen=True, slots=True)
class Question:
    """`first` and `last`: the tokens selected, both included, from 0; `features`: (dictionary, index). No `site`: the first."""

    text: str
    site: str | None
    first: int | None
    last: int | None
    features: tuple[tuple[str, int], ...]
    top: int

    @classmethod
    def of(cls, asked: dict[str, Any]) -> "Question":
        features = tuple((str(name), int(index)) for name, index in asked.get("features", ()))
        return cls(
            str(asked["text"]), asked.get("site"), asked.get("first"), asked.get("last"), features, asked.get("top", 10)
        )


class Reader:
    """Reads texts through the sites of a store, and remembers the last ones."""

    def __init__(self, sites: dict[str, LiveSite]) -> None:
        self.sites = sites
        self._kept: OrderedDict[tuple[str, str], Encoded] = OrderedDict()

    def read(self, question: Question, going: Going) -> dict[str, Any]:
        """The answer, ready for JSON. Raises NotFound for a site or dictionary that there is not, Cancelled."""
        name = question.site or next(iter(self.sites))
        if name not in self.sites:
            raise NotFound(f"The feature store has no site {name!r}; it has {', '.join(self.sites)}.")
        encoded = self._encoded(name, question.text, going)
        count = len(encoded.windows.strings)
        first, last = question.first or 0, count - 1 if question.last is None else min(question.last, count - 1)
        leader = encoded.windows.leader
        rows = (leader[encoded.token] >= first) & (leader[encoded.token] <= last)
        return {
            "site": name,
            "tokens": encoded.windows.strings,
            "special": encoded.special,
            "sinks": encoded.sinks,
            "begins": encoded.windows.begins,
            "strongest": {
                dictionary: strongest(codes, rows, leader[encoded.token], question.top)
                for dictionary, codes in encoded.codes.items()
            },
            "traces": [self._trace(name, encoded, *feature) for feature in question.features],
        }

    def _encoded(self, site: str, text: str, going: Going) -> Encoded:
        key = site, text
        if key not in self._kept:
            self._kept[key] = self.sites[site].encode(text, going)
            while len(self._kept) > KEPT or (len(self._kept) > 1 and self._activations() > KEPT_ACTIVATIONS):
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _activations(self) -> int:
        return sum(len(codes.index) for encoded in self._kept.values() for codes in encoded.codes.values())

    def _trace(self, site: str, encoded: Encoded, dictionary: str, feature: int) -> dict[str, Any]:
        if dictionary not in encoded.codes:
            raise NotFound(f"The site {site} has no dictionary {dictionary!r}.")
        codes = encoded.codes[dictionary]
        mine = codes.index.numpy() == feature
        value = codes.value.numpy()[mine]
        token = encoded.windows.leader[encoded.token[codes.owners().numpy()[mine]]]
        order = np.lexsort((-np.abs(value), token))  # of tokens joined into one, the extreme
        places, begins = np.unique(token[order], return_index=True)
        return {
            "dictionary": dictionary,
            "feature": feature,
            "positions": places.tolist(),
            "values": value[order][begins].astype(float).tolist(),
        }


def strongest(
    codes: Codes, rows: NDArray[np.bool_], token: NDArray[np.int64], top: int
) -> Sequence[tuple[int, float, int, int]]:
    """The features that fire most on chosen rows: (feature, its extreme, the token of that, on how many rows it fires).

    `rows[row]`: chosen; `token[row]`: the place of each row in the text. Of equals, the one of the lower number comes first.
    """
    owner = codes.owners().numpy()
    entries = np.flatnonzero(rows[owner]) if len(owner) else np.zeros(0, np.int64)
    feature, value, owner = codes.index.numpy()[entries], codes.value.numpy()[entries], owner[entries]
    order = np.lexsort((owner, -np.abs(value), feature))
    _, begins, counts = np.unique(feature[order], return_index=True, return_counts=True)
    best = order[begins]
    leading = np.argsort(-np.abs(value[best]), kind="stable")[:top]
    chosen = best[leading]
    columns = feature[chosen].tolist(), value[chosen].astype(float).tolist(), token[owner[chosen]].tolist()
    return list(zip(*columns, counts[leading].tolist(), strict=True))
