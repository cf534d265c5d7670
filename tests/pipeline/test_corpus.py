from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from app.errors import UserError
from pipeline.config import CorpusConfig, SiteConfig
from pipeline.corpus import Contexts, draw_contexts, load_contexts
from pipeline.documents import read_documents


def corpus(source: Path, documents: str = "wikitext") -> CorpusConfig:
    return CorpusConfig.model_validate({"name": "wiki", "source": str(source), "documents": documents})


def site(**options: object) -> SiteConfig:
    return SiteConfig.model_validate(
        {"name": "s", "model": "m", "corpus": "wiki", "layer": 0, "contexts": 300, "context_length": 32, **options}
    )


def draw(
    config: CorpusConfig, place: SiteConfig, tokenizer: PreTrainedTokenizerFast, folder: Path, seed: int = 0
) -> Contexts:
    read: list[int] = []
    draw_contexts(config, place, tokenizer, seed, folder, read.append)
    assert sum(read) == len(list(read_documents(config)))
    return load_contexts(folder)


def test_contexts_are_windows_of_the_text(
    text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    drawn = draw(corpus(text_file), site(), tiny_tokenizer, tmp_path)
    texts = {document.title: document.text for document in read_documents(corpus(text_file))}
    assert drawn.tokens.shape == (300, 32)
    assert len(np.unique(drawn.tokens, axis=0)) > 290
    for context in range(0, 300, 7):
        text = tiny_tokenizer.decode(drawn.tokens[context]).strip("\ufffd")
        assert text in texts[drawn.titles[int(drawn.document[context])]]


def test_the_sample_depends_on_the_seed_alone(
    text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    first, again, other = (
        draw(corpus(text_file), site(), tiny_tokenizer, tmp_path / str(number), seed)
        for number, seed in enumerate((0, 0, 1))
    )
    assert np.array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, other.tokens)


def test_a_larger_sample_holds_the_smaller_and_held_out_documents_come_first(
    text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    small = draw(corpus(text_file), site(contexts=100), tiny_tokenizer, tmp_path / "s")
    large = draw(corpus(text_file), site(contexts=400), tiny_tokenizer, tmp_path / "l")
    assert {tuple(row) for row in small.tokens.tolist()} <= {tuple(row) for row in large.tokens.tolist()}
    for drawn in (small, large):
        assert drawn.held_out.tolist() == sorted(drawn.held_out, reverse=True)
        assert 0 < drawn.held_out.sum() < drawn.count / 2


def test_whole_documents_are_held_out(text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    drawn = draw(corpus(text_file), site(contexts=1500, held_out=0.2), tiny_tokenizer, tmp_path)
    sides = {int(d): set(drawn.held_out[drawn.document == d].tolist()) for d in np.unique(drawn.document)}
    assert all(len(side) == 1 for side in sides.values())
    assert 0.1 < np.mean([True in side for side in sides.values()]) < 0.3


def test_a_tokenizer_that_adds_bos_has_it_first(
    text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path / "tokenizer"
    tiny_tokenizer.save_pretrained(folder)
    with_bos = PreTrainedTokenizerFast.from_pretrained(folder, bos_token="<|end|>")
    with_bos._tokenizer.post_processor = TemplateProcessing(single="<|end|> $A", special_tokens=[("<|end|>", 0)])
    drawn = draw(corpus(text_file), site(), with_bos, tmp_path / "c")
    assert (drawn.tokens[:, 0] == with_bos.bos_token_id).all()
    assert (drawn.tokens[:, 1:] != with_bos.bos_token_id).all()


@pytest.mark.parametrize(
    ("text", "contexts", "message"),
    [
        (" \n", 1, "holds no text"),
        ("too short to fill a window", 1, "asks for 1 contexts of 32 tokens, but corpus 'wiki' has 0"),
        ("many words " * 40, 500, "lower `contexts` or `context_length`"),
        ("many words " * 400, 2, "1 documents are too few to hold out"),
    ],
)
def test_a_corpus_that_is_too_small(
    text: str, contexts: int, message: str, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        draw_contexts(corpus(path, "file"), site(contexts=contexts), tiny_tokenizer, 0, tmp_path / "c", lambda _: None)
