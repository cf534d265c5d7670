"""OpenAI's sparse_autoencoder: one .pt file, a pickled state dict with the name of its activation among the tensors."""

from pathlib import Path
from typing import Any

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.formats.facts import facts_of
from pipeline.formats.sources import section
from pipeline.formats.weights import Weights, whole_number

ACTIVATIONS = ("ReLU", "TopK", "Identity")
POSTACT = {"ReLU": "relu", "Identity": "identity"}
STATISTICS = ("stats_", "latents_")  # what training kept of its features


def read_openai(file: Path, values: dict[str, Any]) -> Dictionary:
    """`values` are what the file holds. TopK implies a LayerNorm of the input; under Identity every feature fires always.

    Raises UserError where no rule covers what is there.
    """
    activation = values.get("activation")
    if activation not in ACTIVATIONS:
        found = "has no activation" if activation is None else f"has activation {activation!r}"
        raise UserError(f"{file} {found}; supported are {', '.join(ACTIVATIONS)}.")
    weights = Weights(file, values)
    encoder = weights.encoder("encoder.weight", features_first=True)
    m, d = encoder.shape
    rule = _rule(file, activation, values, m)
    b_enc, b_dec = weights.take("latent_bias", m), weights.take("pre_bias", d)
    decoder = weights.matrix("decoder.weight", features_first=False)
    weights.drop([name for name in weights.names if name.startswith(STATISTICS)])
    weights.finish()
    return Dictionary(
        kind="file",
        encoder=encoder,
        b_enc=b_enc,
        decoder=decoder,
        b_dec=b_dec,
        normalisation="layer-norm" if activation == "TopK" else "none",
        provenance={**facts_of("openai", file.parent, [file.name], d), "architecture": activation},
        **rule,
    )


def _rule(file: Path, activation: str, values: dict[str, Any], m: int) -> dict[str, Any]:
    if activation == "ReLU":
        return {"rule": "relu"}
    if activation == "Identity":
        return {"rule": "topk", "k": m, "postact": "identity"}
    state = section(values, "activation_state_dict", file)
    postact = state.get("postact_fn")
    if postact not in POSTACT:
        found = "is absent" if postact is None else f"is {postact!r}"
        raise UserError(f"{file}: postact_fn {found}; supported are {', '.join(POSTACT)}.")
    return {"rule": "topk", "k": whole_number(state.get("k"), f"{file}: k", m), "postact": POSTACT[postact]}
