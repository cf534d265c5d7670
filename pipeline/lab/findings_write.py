"""What `dartboard lab findings` leaves: the figures in docs/findings.md, between its markers, and the charts beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import UserError
from pipeline.lab.findings import Arm, arms
from pipeline.lab.findings_page import MEASURES, POINTS, RANDOM, Findings, page
from pipeline.lab.report import write
from pipeline.scores.read import Scored, ScoredDictionary

BEGIN, END = "<!-- figures: made by dartboard lab findings -->", "<!-- end of figures -->"
PARTS = 3  # of the frequencies


def summarise(scored: Mapping[str, Scored], seed: int, command: str, seconds: str) -> Findings:
    """Everything that the page shows."""
    every = {part: arms(found.dictionaries, seed) for part, found in scored.items()}
    swept = {arm.family for arm in every["trained"] if arm.family.startswith((f"{RANDOM}-", f"{POINTS}-"))}
    trained = scored["trained"]
    versions = trained.scores["contexts"]["versions"]
    return Findings(
        arms={part: [arm for arm in members if arm.family not in swept] for part, members in every.items()},
        sweep=[
            (title, _sweep(every["trained"], kind))
            for kind, title in ((RANDOM, "random sign"), (POINTS, "data points"))
        ],
        strata=_strata(trained.dictionaries, swept, seed),
        command=command,
        tokens=next(iter(trained.tokens.values())),
        made={
            "Seconds": f"{', '.join(f'{_built(one):,.0f} to build {part}' for part, one in scored.items())}; {seconds} in all "
            "in the last run",
            "Embedder": str(trained.scores["contexts"]["embedder"]["name"]),
            "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        },
    )


def _built(scored: Scored) -> float:
    """Seconds of all runs."""
    return float(sum(scored.record["seconds"].values()))


def _sweep(found: Sequence[Arm], kind: str) -> list[Arm]:
    mine = [arm for arm in found if arm.family == kind or arm.family.startswith(f"{kind}-")]
    return sorted(mine, key=lambda arm: arm.m)


def _strata(dictionaries: Sequence[ScoredDictionary], swept: set[str], seed: int) -> list[tuple[str, list[Arm]]]:
    some = [one for one in dictionaries if one.family not in swept]

    def frequent(part: int) -> list[Arm]:
        def chosen(one: ScoredDictionary) -> NDArray[np.bool_]:
            rank = np.argsort(np.argsort(one.frequency, kind="stable"), kind="stable")
            mine: NDArray[np.bool_] = rank * PARTS // max(len(rank), 1) == part
            return mine

        return arms(some, seed, chosen)

    return [
        ("Peaks on one and the same token", arms(some, seed, lambda one: one.single_token)),
        ("Peaks on several tokens", arms(some, seed, lambda one: ~one.single_token)),
        ("Rarest third of the frequencies", frequent(0)),
        ("Middle third", frequent(1)),
        ("Most frequent third", frequent(2)),
    ]


def save(found: Findings, out: Path) -> list[Path]:
    """OUT/findings.md, whose text around the figures stays as it is, and OUT/findings/*.svg. Raises UserError."""
    from pipeline.lab.findings_charts import draw

    path = out / "findings.md"
    before = path.read_text("utf-8") if path.is_file() else f"# A first answer\n\n{BEGIN}\n{END}\n"
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has not the lines {BEGIN!r} and {END!r}, between which the figures go; put them in.")
    text = f"{head}{BEGIN}\n\n" + "\n".join(page(found)).rstrip() + f"\n\n{END}{tail}"
    made = [write(path, text)]
    return made + draw(out / "findings", found.arms, found.sweep, MEASURES, f"Source: {found.command}.")
