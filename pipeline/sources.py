"""Where models and corpora come from: folders, installed packages, names.

Needs no torch, so that a finished build is known at once.
"""

import importlib.util
from pathlib import Path

from app.errors import NotFound, UserError
from pipeline.config import CorpusConfig, ModelConfig
from pipeline.entries import FileConfig
from pipeline.hashing import fingerprint, hash_files

SUFFIXES = {
    ".txt": "text",
    ".md": "text",
    ".raw": "text",
    ".text": "text",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".xml": "mediawiki",
}


def package_path(source: str) -> Path:
    """`package:NAME/path` → a path inside an installed package, found without importing it. Raises NotFound."""
    name, _, rest = source.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(
            f"The Python package {name!r} of source {source!r} is not installed; install it (see docs/install.md)."
        )
    return Path(spec.submodule_search_locations[0]) / rest


def corpus_files(corpus: CorpusConfig) -> list[Path]:
    """The files of a corpus in canonical order; empty for a Hugging Face data set. Raises NotFound or UserError."""
    if corpus.source.startswith("dataset:"):
        return []
    is_package = corpus.source.startswith("package:")
    path = package_path(corpus.source) if is_package else Path(corpus.source).expanduser()
    if path.is_file():
        if kind(path) is None:
            raise UserError(
                f"corpus {corpus.name!r}: {path.name} is none of the kinds read: {', '.join(sorted(SUFFIXES))} (or .gz)."
            )
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and kind(file))
        if not files:
            raise UserError(f"corpus {corpus.name!r}: the folder {path} holds no {', '.join(sorted(SUFFIXES))} file.")
        return files
    raise NotFound(f"corpus {corpus.name!r}: there is no file or folder {corpus.source}; check `source`.")


def kind(path: Path) -> str | None:
    return SUFFIXES.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)


def model_folder(config: ModelConfig) -> str:
    """What transformers is given: a folder's path, or a Hugging Face name. Raises NotFound."""
    if config.source.startswith("package:"):
        folder = package_path(config.source)
    else:
        folder = Path(config.source).expanduser()
        if not folder.is_dir():
            if config.source.startswith((".", "/", "~")) or config.source.count("/") > 1:
                raise NotFound(f"model {config.name!r}: there is no folder {config.source}; check `source`.")
            return config.source
    if config.gguf is not None and not (folder / config.gguf).is_file():
        raise NotFound(f"model {config.name!r}: there is no file {config.gguf} in {folder.name}; check `gguf`.")
    return str(folder)


def model_hash(config: ModelConfig) -> str:
    """SHA-256 of the weight files; of the name and revision where the model comes from Hugging Face by name."""
    folder = Path(model_folder(config))
    if not folder.is_dir():
        return fingerprint("hub", config.source, config.revision)
    files = [folder / config.gguf] if config.gguf else sorted(folder.glob("*.safetensors"))
    files = files or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise NotFound(f"model {config.name!r}: {folder} holds no weights (*.safetensors); for a GGUF file set `gguf`.")
    return hash_files(files)


def corpus_hash(config: CorpusConfig) -> str:
    """SHA-256 of the files; of the name, subset and split where the corpus is a Hugging Face data set."""
    files = corpus_files(config)
    return hash_files(files) if files else fingerprint("dataset", config.source, config.subset, config.split)


def weights_hash(config: FileConfig) -> str:
    """SHA-256 of a dictionary's files, for a file with those JSON files that stand beside it. Raises NotFound."""
    path = Path(config.source).expanduser()
    if not path.exists():
        raise NotFound(f"dictionary {config.name!r}: there is no file or folder {config.source}; check `source`.")
    beside = path.rglob("*") if path.is_dir() else [path, *path.parent.glob("*.json")]
    return hash_files(sorted(file for file in beside if file.is_file()))
