"""Builds as `dartboard build` makes them, timed: distance to the limit, further dictionaries, bytes and memory."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
from rich.console import Console

from pipeline import build as building
from pipeline.bench.limits import forward_alone, product_alone, warm
from pipeline.bench.shapes import Ground
from pipeline.engines.local import Local
from pipeline.group import Run
from pipeline.plan import Plan
from pipeline.progress import Stages
from pipeline.published import HitBytes, hit_bytes
from pipeline.streaming import FromModel, Precision

NOT_COUNTED = (": directions", ": decoders", ": drift", ": tables", ": model")
"""Stages that cost the same for any number of tokens: making directions, fitting and judging, tables, opening the model."""
POLLED_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Distance:
    """Seconds of a build and of what bounds it, and what the store takes."""

    build: float
    forward: float
    product: float
    further: float  # of each further dictionary
    stages: dict[str, float]
    bytes: HitBytes

    @property
    def counted(self) -> dict[str, float]:
        """The stages that `build` is made of; it holds what lies between them, too."""
        return {name: seconds for name, seconds in self.stages.items() if not name.endswith(NOT_COUNTED)}

    @property
    def ratio(self) -> float:
        return self.build / (self.forward + self.product)


def measure_build(ground: Ground, folder: Path, workers: int, precision: Precision, further: int) -> Distance:
    """One build of one dictionary, and one of `further` more, on workers that have loaded the model.

    The limit is timed before and after: the lower figures count.
    """
    plan = ground.plan(precision, precision=precision)
    source = FromModel(plan.config.models[0], (ground.shape.depth - 1,), "cpu")
    with Local(workers) as engine:
        warm(engine, source, ground)
        limits = [(forward_alone(engine, source, ground), product_alone(engine, ground, precision))]
        one, stages = timed_build(plan, folder / f"{precision}-1", engine)
        extra = 0.0
        if further:
            seeds = tuple(range(1 + further))
            several, _ = timed_build(ground.plan("several", seeds, precision), folder / f"{precision}-n", engine)
            extra = (several - one) / further
        limits.append((forward_alone(engine, source, ground), product_alone(engine, ground, precision)))
    forward, product = (min(seconds) for seconds in zip(*limits, strict=True))
    shape, store = ground.shape, folder / f"{precision}-1" / "features.sqlite"
    return Distance(one, forward, product, extra, stages, hit_bytes(store, shape.top, 5 * shape.per_quantile))


def timed_build(plan: Plan, data: Path, engine: Local) -> tuple[float, dict[str, float]]:
    """Seconds of a build on an engine that is running, without the stages that are not counted; and of each stage."""
    (data / "build").mkdir(parents=True)
    with Stages(Console(quiet=True)) as stages:
        begun = time.perf_counter()
        run = Run(plan, data, engine, engine, stages, "cpu")
        building._build(run)
        total = time.perf_counter() - begun
        left_out = sum(seconds for name, seconds in stages.seconds.items() if name.endswith(NOT_COUNTED))
    return total - left_out, dict(stages.seconds)


def peak_memory(ground: Ground, data: Path, workers: int, contexts: int) -> int:
    """Bytes: the largest sum of the resident memory of `dartboard build` and all its workers, sampled as it runs."""
    ground.plan("memory", contexts=contexts)
    command = [sys.executable, "-c", "from app.cli import main; main()", "build", str(ground.folder / "memory.toml")]
    with subprocess.Popen(
        [*command, "--data", str(data), "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        _, said = process.communicate()
        watch.join()
    if process.returncode:
        raise RuntimeError(said.decode())
    return watch.peak


class _Watch(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak = 0

    def run(self) -> None:
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            self.peak = max(self.peak, sum(map(_resident, [self.process, *self.process.children(recursive=True)])))
            time.sleep(POLLED_SECONDS)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
