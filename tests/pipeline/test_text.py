import pickle

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from pipeline.text import TokenText


def test_a_split_character_is_joined_at_its_first_token(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tiny_tokenizer("in 火 and 🎯!")["input_ids"]
    strings, leaders = TokenText(tiny_tokenizer).show(ids)
    assert "".join(strings) == "in 火 and 🎯!"
    fire = next(i for i, text in enumerate(strings) if "火" in text)
    assert strings[fire + 1] == ""
    assert leaders[fire + 1] == leaders[fire] == fire
    assert len(strings) == len(leaders) == len(ids)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_joined_strings_are_the_text(tiny_tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tiny_tokenizer(text)["input_ids"]
    strings, leaders = TokenText(tiny_tokenizer).show(ids)
    assert "".join(strings) == text
    assert all(strings[leader] for leader in leaders)


def test_a_character_cut_off_by_the_context_shows_the_replacement(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tiny_tokenizer("🎯")["input_ids"]
    strings, leaders = TokenText(tiny_tokenizer).show(ids[:2])
    assert strings[0] == "\ufffd"
    assert leaders.tolist() == [0, 1]


def test_a_token_alone_is_its_text_or_its_bytes(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    shown = TokenText(tiny_tokenizer)
    tokens = [shown.token(id) for id in tiny_tokenizer(" the 🎯")["input_ids"]]
    assert tokens[0] == " the"
    named = " ".join(token.strip("<>") for token in tokens if token.startswith("<"))
    assert bytes.fromhex(named).decode("utf-8").strip() == "🎯"
    assert shown.token(10**6) == ""


def test_another_process_shows_the_same(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    text = TokenText(tiny_tokenizer)
    known, new = (tiny_tokenizer(words)["input_ids"] for words in ("a known 鱻", "what is new: 🦔鱻"))
    text.show(known)
    other: TokenText = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(text))))
    for ids in (known, new):
        (strings, leaders), (here, at) = other.show(ids), text.show(ids)
        assert strings == here
        assert leaders.tolist() == at.tolist()
