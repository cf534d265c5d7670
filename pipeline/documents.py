"""Read documents (title and text) from text, JSONL, Parquet and MediaWiki files, folders of them, and Hugging Face data sets.

Files may be gzipped. Every reader yields one document at a time: memory doesn't grow with the corpus.
"""

import gzip
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO, cast
from xml.etree.ElementTree import ParseError

from app.errors import UserError
from pipeline.config import CorpusConfig
from pipeline.sources import corpus_files, kind

HEADING = re.compile(r"^ (=(?: =)*) ([^=]{1,150}) \1 ?$")


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    text: str


def read_documents(corpus: CorpusConfig) -> Iterator[Document]:
    """Every document that holds text, in canonical order.

    Raises UserError where a file is not UTF-8, a row is not valid or lacks the text field, or an extra is missing.
    """
    if corpus.source.startswith("dataset:"):
        yield from _dataset(corpus)
        return
    for path in corpus_files(corpus):
        read = {"text": _text, "jsonl": _jsonl, "parquet": _parquet, "mediawiki": _mediawiki}[kind(path) or "text"]
        try:
            for document in read(path, corpus):
                if document.text.strip():
                    yield document
        except UnicodeDecodeError as error:
            raise UserError(f"corpus {corpus.name!r}: {path} is not UTF-8 text; convert it to UTF-8.") from error
        except (OSError, EOFError) as error:
            raise UserError(f"corpus {corpus.name!r}: {path} can't be read: {error}.") from error


def _open(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _text(path: Path, corpus: CorpusConfig) -> Iterator[Document]:
    with _open(path) as file:
        if corpus.documents == "file":
            yield Document(path.stem, file.read())
        elif corpus.documents == "wikitext":
            yield from _wikitext_sections(file)
        elif corpus.documents == "line":
            for number, line in enumerate(file, 1):
                yield Document(f"{path.stem}, line {number}", line.rstrip("\n"))
        else:
            yield from _paragraphs(file, path.stem)


def _paragraphs(file: TextIO, stem: str) -> Iterator[Document]:
    lines: list[str] = []
    number = 0
    for line in file:
        if line.strip():
            lines.append(line)
        elif lines:
            number += 1
            yield Document(f"{stem}, paragraph {number}", "".join(lines).rstrip("\n"))
            lines = []
    if lines:
        yield Document(f"{stem}, paragraph {number + 1}", "".join(lines).rstrip("\n"))


def _wikitext_sections(file: TextIO) -> Iterator[Document]:
    titles: list[str] = []
    lines: list[str] = []
    for line in file:
        heading = HEADING.match(line.rstrip("\n"))
        if heading is None:
            if line.strip():
                lines.append(detokenise(line))
            continue
        yield Document(" › ".join(titles), "\n".join(lines))
        lines = []
        level = heading[1].count("=")
        titles = [*titles[: level - 1], detokenise(heading[2])]
    yield Document(" › ".join(titles), "\n".join(lines))


def detokenise(line: str) -> str:
    """Undo WikiText's spaced-out punctuation: ` @-@ `, ` , `, `( `, `" quoted "`, ` 's`."""
    line = re.sub(r" @([-,.])@ ", r"\1", line.strip())
    line = re.sub(r'(^|\s)" ([^"]*?) "(?=\s|$)', r'\1"\2"', line)
    line = re.sub(r"(^|\s)' ([^']*?) '(?=\s|$)", r"\1'\2'", line)
    line = re.sub(r" ([,.;:!?%)\]}])", r"\1", line)
    line = re.sub(r"([(\[{$£€]) ", r"\1", line)
    line = re.sub(r" (n't|'(?:s|re|ve|ll|d|m)\b)", r"\1", line)
    line = re.sub(r"(\w) ('|’)(?=\s|$)", r"\1\2", line)
    return re.sub(r" ([–/]) ", r"\1", line)


def _jsonl(path: Path, corpus: CorpusConfig) -> Iterator[Document]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"corpus {corpus.name!r}: {path}, line {number} is not valid JSON; mend or drop it."
                ) from error
            yield _row(row, f"{path.stem}, row {number}", corpus)


def _parquet(path: Path, corpus: CorpusConfig) -> Iterator[Document]:
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError("Reading Parquet needs the `parquet` extra; install dartboard[parquet].")
    from pyarrow import ArrowInvalid, parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield _row(row, f"{path.stem}, row {number}", corpus)
    except ArrowInvalid as error:
        raise UserError(f"corpus {corpus.name!r}: {path} is not a valid Parquet file.") from error


def _mediawiki(path: Path, corpus: CorpusConfig) -> Iterator[Document]:
    if importlib.util.find_spec("mwparserfromhell") is None:
        raise UserError("Reading a MediaWiki export needs the `wiki` extra; install dartboard[wiki].")
    from pipeline.mediawiki import articles

    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            yield from (Document(title, text) for title, text in articles(cast("IO[bytes]", file)))
        except ParseError as error:
            raise UserError(f"corpus {corpus.name!r}: {path} is not a valid MediaWiki export: {error}.") from error


def _dataset(corpus: CorpusConfig) -> Iterator[Document]:
    if importlib.util.find_spec("datasets") is None:
        raise UserError(
            f"corpus {corpus.name!r}: a Hugging Face data set needs the `datasets` extra; install dartboard[datasets]."
        )
    import datasets

    name = corpus.source.removeprefix("dataset:")
    try:
        rows = datasets.load_dataset(name, corpus.subset, split=corpus.split, streaming=True)
    except (OSError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"corpus {corpus.name!r}: the data set {name!r} can't be loaded: {reason}") from error
    for number, row in enumerate(rows, 1):
        document = _row(row, f"{name}, row {number}", corpus)
        if document.text.strip():
            yield document


def _row(row: Any, title: str, corpus: CorpusConfig) -> Document:
    text = row.get(corpus.text_field) if isinstance(row, dict) else None
    if not isinstance(text, str):
        found = ", ".join(sorted(map(str, row))) if isinstance(row, dict) else type(row).__name__
        raise UserError(
            f"corpus {corpus.name!r}: {title} has no text in {corpus.text_field!r} (it has {found}); set text_field."
        )
    given = row.get("title")
    return Document(given if isinstance(given, str) and given else title, text)
