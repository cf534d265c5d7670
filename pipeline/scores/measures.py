"""What is measured of every feature; docs/scores.md says how, and what each one cannot tell."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["tokens", "embedder", "language-model"]
PIECES = 5  # of an intruder trial: four of the feature, one of none


@dataclass(frozen=True, slots=True)
class Measure:
    """`chance`: what knows nothing scores; `low` and `high`: bounds of the values, where there are any."""

    name: str
    source: Source
    title: str
    meaning: str
    chance: float | None = None
    low: float | None = None
    high: float | None = None


CONTEXTS: tuple[Measure, ...] = (
    Measure(
        "peak_entropy",
        "tokens",
        "Peak-token entropy",
        "Entropy, in nats, of the tokens at the peaks of the top contexts: 0 where all peak on one token.",
        low=0.0,
    ),
    Measure(
        "top_token_share",
        "tokens",
        "Top-token share",
        "Share of the top contexts that peak on the most common peak token.",
        low=0.0,
        high=1.0,
    ),
    Measure(
        "token_auroc",
        "tokens",
        "Peak-token AUROC",
        "How well the token at the peak alone tells the feature's hits from random places, in documents not learnt from.",
        0.5,
        0.0,
        1.0,
    ),
    Measure(
        "window_auroc",
        "tokens",
        "±5-token AUROC",
        "The same from the token at the peak and a bag of the five tokens on either side of it.",
        0.5,
        0.0,
        1.0,
    ),
    Measure(
        "abstractness",
        "tokens",
        "Abstractness",
        "±5-token AUROC less peak-token AUROC: what the text around the token adds to the token.",
        0.0,
        -1.0,
        1.0,
    ),
    Measure(
        "embedder_auroc",
        "embedder",
        "Embedder AUROC",
        "How well likeness of meaning to the other top contexts tells a top context from random text.",
        0.5,
        0.0,
        1.0,
    ),
    Measure(
        "embedder_intruder",
        "embedder",
        "Embedder intruder",
        "Share of trials in which the piece least like the other four in meaning is the intruder; over the whole range.",
        1 / PIECES,
        0.0,
        1.0,
    ),
    *(
        Measure(
            f"embedder_intruder_{third}",
            "embedder",
            f"… {third} third",
            f"The same in the {third} third of the feature's range.",
            1 / PIECES,
            0.0,
            1.0,
        )
        for third in ("top", "middle", "low")
    ),
    Measure(
        "decile_slope",
        "tokens",
        "Decile slope",
        "Change, a tenth of its range, of the share of contexts that peak on its most common token; negative: it fades.",
        0.0,
    ),
    Measure(
        "second_stability",
        "tokens",
        "Second-corpus stability",
        "How alike the peak tokens of its top contexts are in two corpora: 1 the same tokens as often, 0 none in common.",
        low=0.0,
        high=1.0,
    ),
)
LANGUAGE_MODEL: tuple[Measure, ...] = (
    Measure(
        "detection",
        "language-model",
        "Detection",
        "Balanced accuracy of a language model that is told the explanation, at telling contexts of it from random ones.",
        0.5,
        0.0,
        1.0,
    ),
    Measure(
        "fuzzing",
        "language-model",
        "Fuzzing",
        "Balanced accuracy of the same at telling its contexts marked where it fires from others marked where it does not.",
        0.5,
        0.0,
        1.0,
    ),
    Measure(
        "llm_intruder",
        "language-model",
        "Language-model intruder",
        "Share of trials in which a language model, told nothing, picks out of five pieces the one that is of none.",
        1 / PIECES,
        0.0,
        1.0,
    ),
)
ALL = (*CONTEXTS, *LANGUAGE_MODEL)
