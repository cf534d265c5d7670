"""One dictionary in training: its tensors, its optimiser and its counters, and the checkpoint that holds them all."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.errors import DartboardError, UserError
from pipeline.dictionaries import Dictionary
from pipeline.files import write_state
from pipeline.hashing import derive, fingerprint
from pipeline.train import geometry, schedule, sums
from pipeline.train.families import FAMILIES
from pipeline.train.family import Moment, Start, Units
from pipeline.train.options import Training
from pipeline.train.resample import resample, resampled_at
from pipeline.train.threads import threads

CURVE_POINTS = 100
BETAS = (0.9, 0.999)


@dataclass(frozen=True, slots=True)
class Trainee:
    """A dictionary to train: from `directions[m, d]`, rows of length 1, with the options of its kind.

    `checkpoint`: where to go on from, and to leave what is needed to go on; None for a run that can't be stopped.
    """

    name: str
    options: Training
    directions: Tensor
    seed: int = 0
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained dictionary, in the model's units, and its curve.

    A point of the curve has the step, the tokens so far, and what was measured since the point before: mean loss, FVE, L0, and
    the share of features that are dead.
    """

    dictionary: Dictionary
    curve: list[dict[str, float]]


class Run:
    """Everything that a run needs to go on as if it had never stopped."""

    def __init__(self, trainee: Trainee, sample: Tensor, units: Units) -> None:
        """`sample[token, d]`, in training units. Raises UserError where the options don't fit."""
        self.trainee, self.options, self.units = trainee, trainee.options, units
        m, k = len(trainee.directions), getattr(self.options, "k", 0)
        if k > m:
            raise UserError(
                f"dictionary {trainee.name!r}: k = {k} is more than its m = {m} features; lower k or raise m."
            )
        if trainee.directions.shape[1] != sample.shape[1]:
            raise UserError(
                f"dictionary {trainee.name!r} has directions of {trainee.directions.shape[1]} numbers, but the activations have "
                f"{sample.shape[1]}: they are of another model or layer."
            )
        self.steps = max(1, self.options.tokens // self.options.batch)
        start = Start(trainee.directions, sample, derive(trainee.seed, "family"))
        self.family = FAMILIES[self.options.kind](self.options, start)
        self.begin = {name: tensor.clone() for name, tensor in self.family.tensors.items() if tensor.ndim == 1}
        self.moving = {name: tensor for name, tensor in self.family.tensors.items() if name != self.options.frozen}
        self.optimiser = torch.optim.Adam(self.moving.values(), lr=self.options.rate(m), betas=BETAS, fused=True)
        self.done = 0
        self.last_fired = torch.zeros(m, dtype=torch.int64)
        self.curve: list[dict[str, float]] = []
        self.sums = torch.zeros(4, dtype=torch.float64)  # since the last point of the curve: loss, residual, L0, steps
        self.key = fingerprint(
            self.options.model_dump(mode="json"),
            (trainee.seed, units.spread, units.variance, units.centre.tolist()),
            fingerprint(trainee.directions.double().sum(0).tolist()),
        )

    @property
    def name(self) -> str:
        return self.trainee.name

    @property
    def dead(self) -> Tensor:
        """bool[m]."""
        return self.done - self.last_fired > self.options.dead_after * self.steps

    def advance(self, x: Tensor) -> None:
        """One step on a batch `x[token, d]`, in training units. Raises DartboardError where the run can't go on."""
        options, tensors, progress = self.options, self.family.tensors, self.done / self.steps
        for group in self.optimiser.param_groups:
            factor = schedule.learning_rate(progress, options.warmup, options.decay)
            group["lr"] = options.rate(len(self.last_fired)) * factor
        warmup = getattr(options, "sparsity_warmup", 0.0)
        moment = Moment(self.done, progress, schedule.sparsity(progress, warmup), self.dead)
        try:
            found = self.family.step(x, moment)
        except FloatingPointError:
            raise self._lost() from None
        loss = found.loss + self._shape_decoder()
        if not abs(loss) < float("inf"):
            raise self._lost()
        length = self._length()
        if float(length) > options.clip:
            torch.nn.utils.clip_grads_with_norm_(self.moving.values(), options.clip, length)
        self.optimiser.step()
        if "decoder" in self.moving:
            rows = tensors["decoder"].numpy()
            threads(options.threads).split(len(rows), lambda first, last: sums.rescale(rows, first, last))
            if options.frozen == "soft-decoder":
                geometry.hold_near(tensors["decoder"], self.trainee.directions, options.cosine)
        self.family.constrain()
        self.last_fired[found.fired] = self.done
        self.done += 1
        self.sums += torch.tensor([loss, found.residual, found.l0, 1.0], dtype=torch.float64)
        if self.done in resampled_at(self.steps, options.resample):
            resample(
                self.family,
                self.dead,
                x,
                self.optimiser,
                self.begin,
                derive(self.trainee.seed, "resample", str(self.done)),
            )
            self.last_fired[self.dead] = self.done
        self._note()

    def _shape_decoder(self) -> float:
        """Bring the decoder's gradient to where its rows may move; gives the orthogonality penalty."""
        decoder = self.family.tensors["decoder"]
        if decoder.grad is None or "decoder" not in self.moving:
            return 0.0
        if not self.family.tangent:
            geometry.tangent(decoder.grad, decoder)
        if not self.options.orthogonality:
            return 0.0
        return geometry.push_apart(
            decoder, decoder.grad, self.options.orthogonality, derive(self.trainee.seed, "apart", str(self.done))
        )

    def _length(self) -> Tensor:
        gradients = [tensor.grad for tensor in self.moving.values() if tensor.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _note(self) -> None:
        """A point of the curve, where it is time for one. Raises DartboardError where every feature is dead."""
        if self.done % max(1, self.steps // CURVE_POINTS) and self.done != self.steps:
            return
        loss, residual, l0, count = self.sums.tolist()
        point = {
            "step": self.done,
            "tokens": self.done * self.options.batch,
            "loss": loss / count,
            "fve": 1 - residual / count / self.units.variance,
            "l0": l0 / count,
            "dead": float(self.dead.float().mean()),
        }
        self.curve.append(point)
        self.sums.zero_()
        if point["dead"] == 1:
            penalty = " or alpha" if hasattr(self.options, "alpha") else ""
            raise DartboardError(
                f"training {self.name!r}: no feature has fired for {self.options.dead_after:.0%} of the run, at step "
                f"{self.done:,}: all are dead; lower learning_rate{penalty}."
            )

    def _lost(self) -> DartboardError:
        path = self.trainee.checkpoint
        kept = f" The last good checkpoint is {path}." if path is not None and path.is_file() else ""
        return DartboardError(
            f"training {self.name!r}: the loss became NaN or infinite at step {self.done:,}; lower learning_rate "
            f"(it is {self.options.rate(len(self.last_fired)):g} at its highest) or clip.{kept}"
        )

    def dictionary(self) -> Dictionary:
        """What was learnt so far, in the model's units."""
        made = self.units.fold_back(self.family.dictionary())
        decoder = self.family.tensors["decoder"].clone()  # of its own, as the encoder: further steps don't change them
        return replace(made, kind=self.options.kind, encoder=made.encoder.clone(), decoder=decoder)

    # Checkpoints.

    def save(self) -> None:
        """Write the checkpoint, unless the tensors hold something that is no finite number: then the last one stays."""
        tensors = {**self.family.tensors, **self.family.state}
        if self.trainee.checkpoint is None or not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            return
        state: dict[str, Any] = {
            "key": self.key,
            "tensors": tensors,
            "optimiser": self.optimiser.state_dict(),
            "done": self.done,
            "last_fired": self.last_fired,
            "sums": self.sums,
            "curve": self.curve,
        }
        write_state(self.trainee.checkpoint, state)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one. Raises UserError where it is of another run or is damaged."""
        path = self.trainee.checkpoint
        if path is None or not path.is_file():
            return
        try:
            state = torch.load(path, weights_only=True)
            key = state["key"]
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no checkpoint of training ({error}); delete it to train anew.") from error
        if key != self.key:
            raise UserError(
                f"{path} is of a run with other options, another start or other activations than {self.name!r} has now: "
                "put back what was changed to go on with it, or delete it to train anew."
            )
        mine = {**self.family.tensors, **self.family.state}
        for name, tensor in mine.items():
            tensor.copy_(state["tensors"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.done, self.curve = state["done"], state["curve"]
        self.last_fired, self.sums = state["last_fired"], state["sums"]
