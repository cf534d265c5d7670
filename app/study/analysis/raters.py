"""Raters as wholes: who is left out and why, and how long questions take.

    quality(tables, design)
    times(rows)

Only whole raters are left out, by pages with a known answer and by pace; never by null pages, and never single answers.
"""

from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np

from app.study.analysis.design import Design
from app.study.analysis.parts import RaterQuality, TimeOnTask
from app.study.analysis.tables import Row, Tables

TASKS = {"page-score": "page", "pair-choice": "pair", "intruder-pick": "intruder", "guess": "guess"}


def quality(tables: Tables, design: Design) -> tuple[RaterQuality, ...]:
    """What each rater is judged by. Repeats count for the pace, not for known answers."""
    source = {str(row["rater"]): row.get("source") for row in tables.raters}
    by_rater: dict[str, list[Row]] = {}
    for row in tables.ratings:
        if row["task"] in TASKS and row["purpose"] in ("main", "catch"):
            by_rater.setdefault(str(row["rater"]), []).append(row)
    return tuple(_judged(rater, rows, design, source.get(rater)) for rater, rows in sorted(by_rater.items()))


def _judged(rater: str, rows: Sequence[Row], design: Design, source: object) -> RaterQuality:
    catch = [row for row in rows if row["purpose"] == "catch" and row["repeat"] == 0]
    wrong = sum(row["right"] is False for row in catch)
    seconds = [float(str(row["server_ms"])) / 1000 for row in rows if row["server_ms"] is not None]
    pace = median(seconds) if seconds else None
    why = []
    if wrong > design.catch_wrong:
        why.append(f"{wrong} wrong answers on pages with a known answer, {design.catch_wrong} allowed")
    if pace is not None and pace < design.median_seconds:
        why.append(f"a median of {pace:.1f} s a question, at least {design.median_seconds:g} s expected")
    main = [row for row in rows if row["purpose"] == "main" and row["repeat"] == 0]
    return RaterQuality(
        rater=rater,
        source=str(source) if source is not None else None,
        answers=len(main),
        skips=sum(row["skip"] is not None for row in main),
        catch_seen=len(catch),
        catch_wrong=wrong,
        median_seconds=pace,
        staff=any(row["staff"] is True for row in rows),
        excluded=bool(why),
        why="; ".join(why),
    )


def times(rows: Iterable[Row]) -> tuple[TimeOnTask, ...]:
    """Quartiles of the time on a question by task and arm, over first answers that were no skips."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        wanted = row["task"] in TASKS and row["purpose"] in ("main", "guess") and row["repeat"] == 0
        if wanted and row["skip"] is None and row["server_ms"] is not None:
            arms = sorted({str(name) for name in (row["arm"], row["other_arm"]) if name is not None})
            task = "guess" if row["purpose"] == "guess" else TASKS[str(row["task"])]
            if task == "guess" and row["task"] != "guess":
                task = "page after the close"
            seconds.setdefault((task, " × ".join(arms)), []).append(float(str(row["server_ms"])) / 1000)
    order = [*TASKS.values(), "page after the close"]
    found = []
    for (task, arm), taken in sorted(seconds.items(), key=lambda entry: (order.index(entry[0][0]), entry[0][1])):
        lower, middle, upper = np.quantile(taken, [0.25, 0.5, 0.75]).tolist()
        found.append(TimeOnTask(task, arm, len(taken), lower, middle, upper))
    return tuple(found)
