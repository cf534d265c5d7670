"""The exported tables as an analysis takes them: rows exactly as in docs/export.md, cells typed as the codebook says.

    Tables(ratings=list(table_rows(store, name, "ratings")), items=…, raters=…, protocol=protocol)

`checked` refuses what is not an export, or was edited into something that can't be one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.study.protocol import Protocol

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Tables:
    """`items` give strata and content, `raters` sources, `features` machine scores; each may be empty.

    Of `features` the columns that begin with `score_` are machine scores; `dictionary` and `feature` say whose.
    """

    ratings: Sequence[Row]
    items: Sequence[Row] = ()
    raters: Sequence[Row] = ()
    features: Sequence[Row] = ()
    protocol: Protocol | None = None
