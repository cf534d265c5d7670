"""How near a dictionary's directions lie to one another and to other dictionaries', beside what random ones do."""

from dataclasses import dataclass

from app.browse.charts import HEIGHT, WIDTH
from app.store.features import Dictionary, FeatureStore

RANKS = {"1": "Nearest neighbour", "10": "10th neighbour", "100": "100th neighbour"}


@dataclass(frozen=True, slots=True)
class Spread:
    """Cosines with the neighbours of one rank: quantiles over the features."""

    low: float  # 5%
    median: float
    high: float  # 95%


@dataclass(frozen=True, slots=True)
class Compared:
    """What a dictionary finds in another (or within itself), and how much of it the other finds."""

    dictionary: Dictionary
    mmcs: float
    back: float | None
    spreads: tuple[Spread | None, ...]  # of the 1st, 10th and 100th neighbour


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a drawing; `look` is its class."""

    points: str  # as SVG has them
    name: str
    look: str


@dataclass(frozen=True, slots=True)
class CosineCurve:
    """Cosine with the neighbour of one rank, by share of the features, for this dictionary and for random ones.

    `rows`: the numbers behind it, (share, cosine of each line).
    """

    label: str
    lines: tuple[Line, ...]
    rows: tuple[tuple[float, tuple[float, ...]], ...]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT


def compared(store: FeatureStore, dictionary: Dictionary) -> tuple[Compared, ...]:
    """The dictionary beside itself first, then beside the others; empty where none were compared."""
    dictionaries = {other.id: other for other in store.dictionaries()}
    found = {(one.dictionary_id, one.other_id): one for one in store.comparisons()}
    own = sorted(
        (one for one in found.values() if one.dictionary_id == dictionary.id),
        key=lambda one: one.other_id != dictionary.id,
    )
    return tuple(
        Compared(
            dictionaries[one.other_id],
            one.mmcs,
            back.mmcs if (back := found.get((one.other_id, dictionary.id))) else None,
            tuple(spread(one.curves, rank) for rank in RANKS),
        )
        for one in own
    )


def spread(curves: dict[str, list[float]], rank: str) -> Spread | None:
    if rank not in curves:
        return None
    at = dict(zip(curves["quantiles"], curves[rank], strict=True))
    return Spread(at[0.05], at[0.5], at[0.95])


def random_beside(store: FeatureStore, dictionary: Dictionary) -> Dictionary | None:
    """The untrained dictionary to hold this one against: of its site, of its size if there is one; None without any."""
    others = [
        one
        for one in store.dictionaries()
        if not one.trained and one.site_id == dictionary.site_id and one.id != dictionary.id
    ]
    return min(others, key=lambda one: (one.m != dictionary.m, not one.kind.startswith("random"), one.id), default=None)


def cosine_curves(store: FeatureStore, dictionary: Dictionary, beside: Dictionary | None) -> tuple[CosineCurve, ...]:
    """Within the dictionary, and within the other one, the neighbours of each rank; empty where none were compared."""
    within = {one.dictionary_id: one.curves for one in store.comparisons() if one.dictionary_id == one.other_id}
    if dictionary.id not in within:
        return ()
    shown = [(dictionary.title, "line", within[dictionary.id])]
    if beside is not None and beside.id in within:
        shown.append((beside.title, "line-beside", within[beside.id]))
    return tuple(
        _curve(
            label, [(name, look, curves["quantiles"], curves[rank]) for name, look, curves in shown if rank in curves]
        )
        for rank, label in RANKS.items()
        if rank in within[dictionary.id]
    )


def _curve(label: str, shown: list[tuple[str, str, list[float], list[float]]]) -> CosineCurve:
    words = ", ".join(
        f"in {name} {values[0]:.2f} to {values[-1]:.2f}, median {dict(zip(quantiles, values, strict=True))[0.5]:.2f}"
        for name, _, quantiles, values in shown
    )
    columns = [dict(zip(quantiles, values, strict=True)) for _, _, quantiles, values in shown]
    return CosineCurve(
        label,
        tuple(Line(_points(quantiles, values), name, look) for name, look, quantiles, values in shown),
        tuple(
            (share, tuple(column[share] for column in columns))
            for share in columns[0]
            if all(share in c for c in columns)
        ),
        f"{label}: cosine by share of the features, {words}.",
    )


def _points(quantiles: list[float], values: list[float]) -> str:
    """From the left edge at a share of 0 to the right one at 1, from the lower edge at a cosine of 0 to the upper one at 1."""
    return " ".join(
        f"{WIDTH * share:g},{round(HEIGHT * (1 - min(max(value, 0.0), 1.0)), 2):g}"
        for share, value in zip(quantiles, values, strict=True)
    )
