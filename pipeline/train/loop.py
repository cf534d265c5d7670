"""The training loop: several dictionaries in one pass over the same batches, each as if it were alone.

Seeded, with checkpoints from which a run goes on to the same bytes. What is trained, and by which rule, is the families'
business (`pipeline.train.families`); what a single dictionary needs to go on is its run's (`pipeline.train.run`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from app.errors import DartboardError, UserError
from pipeline.train.family import Units
from pipeline.train.run import Run, Trained, Trainee

CHECKPOINT_STEPS = 250
START_TOKENS = 8192  # of the sample, from which families find their scales

Batches = Callable[[int], Iterator[Tensor]]
"""Batches `x[token, d]` from the one with the number that is given; in the model's units."""


@torch.no_grad()
def train(
    trainees: Sequence[Trainee],
    batches: Batches,
    sample: Tensor,
    units: Units,
    advance: Callable[[int, str], None] = lambda *_: None,
) -> list[Trained]:
    """Train dictionaries that share their `tokens`, `batch` and `threads`; each goes on from its checkpoint where there is one.

    `sample[token, d]`: activations from which they find their scales. `advance` is told of tokens as they are used, with a few
    words on how it goes. Raises UserError where options don't fit the activations or each other, and DartboardError where a
    loss is no number or all features are dead: the others' checkpoints are then as far as they were.
    """
    options = trainees[0].options
    for name in ("tokens", "batch", "threads"):
        if len({getattr(trainee.options, name) for trainee in trainees}) > 1:
            raise UserError(f"dictionaries that are trained in one pass have the same {name}.")
    with _arithmetic(options.threads):
        x = units.of(sample[:START_TOKENS])
        runs = [Run(trainee, x, units) for trainee in trainees]
        for run in runs:
            run.resume()
        steps, step = runs[0].steps, min(run.done for run in runs)
        if step:
            advance(step * options.batch, "resumed")
        stream = batches(step) if step < steps else iter(())
        while step < steps:
            x = units.of(_next(stream, step, options.batch, options.tokens))
            for run in runs:
                if run.done == step:  # one that was stopped later than the others waits for them
                    _go_on(run, runs, x)
            step += 1
            advance(options.batch, _words(runs))
            if step % CHECKPOINT_STEPS == 0 and step < steps:
                _save(runs)
    return [Trained(run.dictionary(), run.curve) for run in runs]


def _next(stream: Iterator[Tensor], step: int, batch: int, tokens: int) -> Tensor:
    try:
        return next(stream)
    except StopIteration:
        raise UserError(
            f"the activations ended after {step * batch:,} tokens, of {tokens:,} that were asked for; lower tokens."
        ) from None


def _go_on(run: Run, runs: Sequence[Run], x: Tensor) -> None:
    try:
        run.advance(x)
    except DartboardError:
        _save([other for other in runs if other is not run])
        raise


def _save(runs: Sequence[Run]) -> None:
    for run in runs:
        run.save()


def _words(runs: Sequence[Run]) -> str:
    """How the runs go: each one's latest point, or the range of them."""
    points = [run.curve[-1] for run in runs if run.curve]
    if not points:
        return ""
    said = []
    for name, shown in (("loss", "loss {:.3f}"), ("fve", "FVE {:.3f}"), ("l0", "L0 {:.1f}"), ("dead", "dead {:.1%}")):
        low, high = min(point[name] for point in points), max(point[name] for point in points)
        word, form = shown.split(" ")
        ends = list(dict.fromkeys(form.format(value) for value in (low, high)))
        said.append(f"{word} {'–'.join(ends)}")
    return ", ".join(said)


@contextlib.contextmanager
def _arithmetic(threads: int) -> Iterator[None]:
    """So many threads, and products of float32 in bfloat16's mantissa where that is faster: AuxK's alone are such products."""
    before, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision)
