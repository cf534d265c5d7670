"""The figures of a feature store as lines of text: what `dartboard info` prints."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from app.store.features import FeatureStore

NOT_FIGURES = ("config", "seconds")
NONE = "—"


def describe(store: FeatureStore) -> Iterator[str]:
    """Sites and dictionaries with their figures, then what the build recorded of itself."""
    record = store.provenance()
    seconds: dict[str, float] = record.get("seconds", {})
    yield str(store.path)
    for site in store.sites():
        masked = ", ".join(f"{count} {reason}" for reason, count in sorted(site.masked.items()))
        took = seconds.get(f"{site.name}: activations")
        yield f"{site.name}: {site.model} layer {site.layer}, activations of width {site.d}"
        yield (
            f"  {site.tokens} tokens of {site.corpus} in {site.contexts} contexts of {site.documents} documents"
            + (f", read at {site.tokens / took:.0f} tokens/s" if took else "")
        )
        yield f"  masked positions: {masked or 'none'}"
    yield ""
    dictionaries = [
        (
            *(d.name, d.kind, str(d.m), NONE if d.k is None else str(d.k)),
            *(NONE if share is None else f"{share:.3f}" for share in (d.fve, d.fve_fit)),
            NONE if d.l0 is None else f"{d.l0:.1f}",
            f"{d.alive:.1%}",
        )
        for d in store.dictionaries()
    ]
    yield from table(("dictionary", "kind", "m", "k", "FVE", "FVE (fit)", "L0", "alive"), dictionaries)
    if seconds:
        yield ""
        yield from table(("stage", "seconds"), [(stage, f"{took:.1f}") for stage, took in seconds.items()], left=1)
    yield ""
    yield from (f"{key}: {_shown(value)}" for key, value in record.items() if key not in NOT_FIGURES)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> Iterator[str]:
    """Columns aligned by spaces: the first `left` ones to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
