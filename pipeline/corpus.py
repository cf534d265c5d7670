"""Draw contexts from a corpus: tokenise every document, cut it into windows, keep the N with the smallest seeded hash.

A window holds `context_length` tokens of one document (the tokenizer's BOS first, where it adds one); what is left at a
document's end is dropped, so no context is padded. Windows go to a file on disk as they come; memory holds twelve bytes
a window. Contexts are stored in order of their hash, those of held-out documents first, so that any run of shards is a
random sample of one part or the other.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import UserError
from pipeline.config import CorpusConfig, SiteConfig
from pipeline.documents import Document, read_documents
from pipeline.files import write_array, write_json
from pipeline.hashing import derive, mix

BATCH = 64  # documents tokenised at a time


@dataclass(frozen=True, slots=True)
class Contexts:
    """A drawn sample: `tokens[context, position]`, `document[context]`, `held_out[context]`, and titles by document.

    One that is on disk, in `folder`, is pickled as its place: another process of this computer reads it there.
    """

    tokens: NDArray[np.int32]
    document: NDArray[np.int32]
    held_out: NDArray[np.bool_]
    titles: dict[int, str]
    windows: int  # how many the sample was drawn from
    folder: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return load_contexts, (self.folder,)
        return Contexts, (self.tokens, self.document, self.held_out, self.titles, self.windows)

    @property
    def count(self) -> int:
        return len(self.tokens)

    @property
    def length(self) -> int:
        return int(self.tokens.shape[1])

    def save(self, folder: Path) -> None:
        write_array(folder / "tokens.npy", np.asarray(self.tokens))
        write_array(folder / "document.npy", self.document)
        write_array(folder / "held_out.npy", self.held_out)
        titles = [self.titles[document] for document in range(len(self.titles))]
        write_json(folder / "contexts.json", {"windows": self.windows, "titles": titles})


def draw_contexts(
    corpus: CorpusConfig,
    site: SiteConfig,
    tokenizer: Any,
    seed: int,
    folder: Path,
    advance: Callable[[int], None],
    hold_out: bool = True,
) -> None:
    """Write the sample to `folder`; `advance` is told of documents as they are read. Nothing is held out of a second text.

    Raises UserError where the corpus is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "windows.u32"
    documents: list[NDArray[np.int32]] = []
    starts: list[NDArray[np.int32]] = []
    titles: list[str] = []
    read = 0
    with raw.open("wb") as file:
        for batch in _ahead(_batches(read_documents(corpus))):
            for one, windows in zip(batch, _windows(batch, tokenizer, site.context_length), strict=True):
                if len(windows):
                    documents.append(np.full(len(windows), len(titles), np.int32))
                    starts.append(np.arange(len(windows), dtype=np.int32))
                    titles.append(one.title)
                    file.write(windows.astype("<u4").tobytes())
            read += len(batch)
            advance(len(batch))
    found = sum(map(len, documents))
    if read == 0:
        raise UserError(f"corpus {corpus.name!r} holds no text; check `source`.")
    if found < site.contexts:
        raise UserError(
            f"site {site.name!r} asks for {site.contexts} contexts of {site.context_length} tokens, but corpus {corpus.name!r} "
            f"has {found}; lower `contexts` or `context_length` (of a second text, `second_contexts`), or bring more text."
        )
    document = np.concatenate(documents)
    order = np.argsort(mix(derive(seed, "contexts", corpus.name), document, np.concatenate(starts)), kind="stable")
    chosen = order[: site.contexts]
    owners = np.unique(document[chosen])
    held_out = mix(derive(seed, "held-out", corpus.name), owners) < np.uint64(int(site.held_out * 2.0**63) * 2)
    if not hold_out:
        held_out[:] = False
    elif held_out.all() or not held_out.any():
        raise UserError(
            f"site {site.name!r}: {len(owners)} documents are too few to hold out a share of {site.held_out}; "
            "bring more text, or split it into more documents (`documents`)."
        )
    dense = np.searchsorted(owners, document[chosen])
    first = np.argsort(~held_out[dense], kind="stable")
    chosen, dense = chosen[first], dense[first]
    windows = np.memmap(raw, "<u4", "r", shape=(found, site.context_length))
    contexts = Contexts(
        tokens=windows[chosen].astype(np.int32),
        document=dense.astype(np.int32),
        held_out=held_out[dense],
        titles={number: titles[owner] for number, owner in enumerate(owners)},
        windows=found,
    )
    contexts.save(folder)
    del windows
    raw.unlink()


def load_contexts(folder: Path) -> Contexts:
    """What `save` wrote. Raises UserError where it is damaged or not there."""
    try:
        facts = json.loads((folder / "contexts.json").read_text("utf-8"))
        return Contexts(
            tokens=np.load(folder / "tokens.npy", mmap_mode="r"),
            document=np.load(folder / "document.npy"),
            held_out=np.load(folder / "held_out.npy"),
            titles=dict(enumerate(facts["titles"])),
            windows=facts["windows"],
            folder=folder,
        )
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} does not hold whole contexts ({error}); delete {folder.parent}, and make it again."
        ) from error


def prefix_of(tokenizer: Any) -> list[int]:
    """What a tokenizer puts before every text: its BOS, or nothing."""
    prefix: list[int] = tokenizer("")["input_ids"][:1]
    return prefix if prefix == [tokenizer.bos_token_id] else []


def _ahead(batches: Iterator[list[Document]]) -> Iterator[list[Document]]:
    """The same, the next one being read while the last one is tokenised."""
    with ThreadPoolExecutor(1) as aside:
        following = aside.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = aside.submit(next, batches, None)
            yield batch


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _windows(batch: Sequence[Document], tokenizer: Any, length: int) -> list[NDArray[np.uint32]]:
    """For each document its windows, `[windows, length]`."""
    prefix = prefix_of(tokenizer)
    step = length - len(prefix)
    windows = []
    for ids in _token_ids([document.text for document in batch], tokenizer):
        count = len(ids) // step
        body = np.array(ids[: count * step], np.uint32).reshape(count, step)
        windows.append(np.hstack([np.full((count, len(prefix)), prefix, np.uint32), body]) if prefix else body)
    return windows


def _token_ids(texts: Sequence[str], tokenizer: Any) -> Iterator[Sequence[int]]:
    """The tokens of each text, without special ones; of a fast tokenizer without the offsets, which take a fifth of the time."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        yield from tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    else:
        fast.no_truncation()
        fast.no_padding()
        for encoding in fast.encode_batch_fast(list(texts), add_special_tokens=False):
            yield encoding.ids
