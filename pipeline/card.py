"""A dictionary's card: what it is, what made it, how its training went and what it scores, in Markdown, from facts alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dictionaries import Dictionary
from pipeline.score import Reading, Scores

CURVE_ROWS = 12


@dataclass(frozen=True, slots=True)
class Card:
    """`command`: the one that scored it."""

    dictionary: Dictionary
    reading: Reading
    scores: Scores
    command: str

    def markdown(self) -> str:
        return "\n".join([*self._what(), *self._scores(), *self._training(), *self._files()]) + "\n"

    def _what(self) -> Iterator[str]:
        one, facts = self.dictionary, self.dictionary.provenance
        made = facts.get("made", {})
        title = made.get("dictionary", {}).get("title") or facts.get("path", "A dictionary")
        rule = one.rule + (f", k = {one.k}" if one.k is not None else "")
        yield f"# {title}"
        yield ""
        yield "Written by `dartboard score --card`; do not edit."
        yield ""
        yield from _table(
            ("", ""),
            [
                ("model", str(facts.get("model_name") or self.reading.model.source)),
                ("reads", f"the residual stream after block {self.reading.site.layer} (`{facts.get('hook_name')}`)"),
                ("rule", rule),
                (
                    "features",
                    f"{one.m:,}, {one.m / one.encoder.shape[1]:g} × the model's width of {one.encoder.shape[1]}",
                ),
                ("format", f"{facts.get('format')}, matrices in {made.get('dtype', 'the precision of the file')}"),
                ("weights, as read (SHA-256)", f"`{one.hash()}`"),
            ],
        )

    def _scores(self) -> Iterator[str]:
        found, reading = self.scores, self.reading
        yield "## Scores on held-out text"
        yield ""
        yield (
            f"{found.tokens:,} tokens of {Path(reading.corpus.source).name}, which no training saw, in windows of "
            f"{reading.site.context_length}; {found.masked:,} more are masked. The model runs in {reading.model.dtype}. μ is the "
            "mean of this text, so that nothing fitted takes part; the formulas are in docs/measures.md."
        )
        yield ""
        rows = [
            ("fraction of variance explained", _shown(found.fve)),
            ("floor: as many random directions, isotropic noise", _shown(found.floor_isotropic)),
            ("floor: the same, noise with the covariance of the activations", _shown(found.floor_matched)),
            ("mean squared error, a dimension", _shown(found.mse)),
            ("L0", f"{found.l0:.1f}"),
            ("dead: features that fire on none of these tokens", f"{found.dead:.1%}"),
        ]
        if found.ce_recovered is not None:
            rows += [
                (f"cross-entropy recovered, in {found.splice_contexts} windows", _shown(found.ce_recovered)),
                (
                    "cross-entropy: the model / with the reconstruction / with the mean in its place",
                    f"{found.ce_clean:.3f} / {found.ce_spliced:.3f} / {found.ce_ablated:.3f} nats",
                ),
                ("KL score", _shown(found.kl_score)),
            ]
        yield from _table(("", ""), rows)
        yield "```console"
        yield f"$ {self.command}"
        yield "```"
        yield ""

    def _training(self) -> Iterator[str]:
        facts = self.dictionary.provenance
        made: dict[str, Any] = facts.get("made", {})
        if made:
            config, site, held = made["dictionary"], made["site"], made["contexts"]
            tokens, distinct = config.get("tokens"), held["fitting"] * site["context_length"]
            yield "## How it was made"
            yield ""
            rows = [
                (
                    "text",
                    f"{made['corpus']}: {held['fitting']:,} windows of {site['context_length']} tokens, {distinct:,} in all",
                )
            ]
            if tokens:
                rows += [("token visits", f"{tokens:,}: each token {tokens / distinct:.1f} times")]
            rows += [
                ("seed", str(made["seed"])),
                ("options", ", ".join(f"{key} {value}" for key, value in config.items() if key not in _ELSEWHERE)),
                ("model's files (SHA-256)", f"`{made['model_hash']}`"),
                ("text's files (SHA-256)", f"`{made['corpus_hash']}`"),
                ("versions", ", ".join(f"{name} {version}" for name, version in made["versions"].items())),
            ]
            if "seconds" in facts:
                rows.append(("seconds", f"{facts['seconds']:,.0f}"))
            yield from _table(("", ""), rows)
            yield "```console"
            yield f"$ {made['command']}"
            yield "```"
            yield ""
        curve: Sequence[dict[str, float]] = facts.get("curve", [])
        if curve:
            yield "## How it went"
            yield ""
            yield "On batches, as they came; the learning rate falls towards the end, and FVE rises with it."
            yield ""
            step = max(1, -(-len(curve) // CURVE_ROWS))
            chosen = [*curve[:-1][::step], curve[-1]]
            yield from _table(
                ("tokens", "FVE", "L0", "dead"),
                [(f"{p['tokens']:,.0f}", f"{p['fve']:.3f}", f"{p['l0']:.1f}", f"{p['dead']:.1%}") for p in chosen],
            )

    def _files(self) -> Iterator[str]:
        yield "## Files"
        yield ""
        files: dict[str, str] = self.dictionary.provenance.get("files", {})
        yield from _table(
            ("file", "SHA-256 of its SHA-256"), [(f"`{name}`", f"`{sha}`") for name, sha in files.items()]
        )


_ELSEWHERE = {"name", "title", "family", "site", "m", "expansion", "k", "encoding", "decoder", "tokens", "seed"}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _shown(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
