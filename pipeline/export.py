"""Write the dictionaries of a build as folders that other tools read, each with what made it in its own metadata."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.config import SiteConfig
from pipeline.dictionaries import Dictionary
from pipeline.entries import AnyDictionary, FileConfig
from pipeline.formats import write_saelens, write_sparsify
from pipeline.formats.saelens import Dtype
from pipeline.formats.sources import read_json
from pipeline.group import Group

Format = Literal["saelens", "sparsify"]
CONFIG = "cfg.json"  # of both formats


@dataclass(frozen=True, slots=True)
class Export:
    """Where the folders go, one a dictionary, and how they are written; sparsify has float32 alone."""

    folder: Path
    format: Format = "saelens"
    dtype: Dtype = "float32"

    def place(self, name: str) -> Path:
        return self.folder / name

    def has(self, name: str, key: str) -> bool:
        """Whether this very dictionary is there already."""
        path = self.place(name) / CONFIG
        if not path.is_file():
            return False
        about = read_json(path)
        own = about.get("dartboard") or about.get("metadata", {}).get("dartboard") or {}
        found = own.get("made", {}).get("key"), own.get("made", {}).get("dtype")
        return found == (key, self.dtype)

    def write(self, dictionary: Dictionary, name: str) -> Path:
        """Raises UserError where the format can't express the dictionary, or the folder holds another one's files."""
        folder = self.place(name)
        if self.format == "saelens":
            write_saelens(dictionary, folder, self.dtype)
        else:
            write_sparsify(dictionary, folder)
        return folder


def export_key(group: Group, config: AnyDictionary) -> str:
    """By which a dictionary that was exported is known."""
    plan = group.run.plan
    return f"{plan.group_key(group.sites)}-{plan.dictionary_key(config)}"


def export(group: Group, site: SiteConfig, config: AnyDictionary, dictionary: Dictionary, to: Export) -> Path:
    """Write one dictionary of a build, with its training's curve, and what is needed to make it again."""
    facts = {
        **dictionary.provenance,
        **group.place(config).training(),
        "seed": config.seed,
        "model_name": dictionary.provenance.get("model_name") or _model_name(group),
        "hook_name": dictionary.provenance.get("hook_name") or f"blocks.{site.layer}.hook_resid_post",
        "context_size": site.context_length,
        "prepend_bos": _begins_with_bos(group),
        "made": {**_made(group, site, config), "dtype": to.dtype},
    }
    return to.write(replace(dictionary, provenance=facts), config.name)


def _made(group: Group, site: SiteConfig, config: AnyDictionary) -> dict[str, Any]:
    plan = group.run.plan
    corpus = plan.config.corpus(site.corpus)
    return {
        "key": export_key(group, config),
        "command": plan.command,
        "dictionary": config.model_dump(mode="json", exclude={"source"} if isinstance(config, FileConfig) else None),
        "site": site.model_dump(mode="json", exclude={"activations", "keep_activations"}),
        "seed": plan.config.seed,
        "model_hash": plan.model_hashes[site.model],
        "corpus": corpus.name,
        "corpus_hash": plan.corpus_hashes[site.corpus],
        "contexts": {"fitting": int((~group.contexts.held_out).sum()), "held_out": int(group.contexts.held_out.sum())},
        "versions": plan.versions,
    }


def _model_name(group: Group) -> str:
    """As the build file names it; of a folder its last part, since the rest is a computer's own affair."""
    source = group.run.plan.config.model(group.first.model).source
    return Path(source).name if Path(source).expanduser().is_dir() else source


def _begins_with_bos(group: Group) -> bool:
    bos = group.tokenizer.bos_token_id
    return bos is not None and group.tokenizer("")["input_ids"][:1] == [bos]
