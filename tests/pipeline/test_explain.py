"""Explanations by a real server that goes by words: what it scores, and what happens where it fails, mumbles or costs too much."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from app.errors import UserError
from app.store.scores import Scores
from pipeline.progress import Stages
from pipeline.scores.llm.cache import Cache
from pipeline.scores.llm.client import Endpoint
from pipeline.scores.llm.prompts import Prompts, read_choice, read_digits, read_explanation
from pipeline.scores.llm.questions import Marked
from pipeline.scores.llm.run import Feature, Judged, Report, Request, ask_all, explain_store
from pipeline.scores.run import Options, score_store
from pipeline.scores.store import Source
from tests.pipeline.answerer import Answerer, answering
from tests.pipeline.scored import a_text, block, hits_where

KEY = "sk-not-to-be-found-anywhere"


@pytest.fixture
def server() -> Iterator[Answerer]:
    with answering() as found:
        yield found


def run(server: Answerer, data: Path, **changes: object) -> Report:
    request = replace(Request(features=12, dictionaries=("data-points",)), **changes)
    endpoint = Endpoint(server.url, "words", KEY, first_wait=0.001)
    with Stages(Console(quiet=True)) as stages:
        source = Source(data / "features.sqlite")
        return explain_store(source, request, endpoint, stages, data / "llm-cache.sqlite")


def scores(data: Path) -> Scores:
    found = Scores.beside(Source(data / "features.sqlite").store)
    assert found is not None
    return found


def test_words_are_explained_detected_and_told_apart_and_nothing_is_paid_twice(
    server: Answerer, data_folder: Path
) -> None:
    server.failures = [429, 500, 503]
    report = run(server, data_folder)
    assert (report.done, report.wanted, report.capped) == (12, 12, False)
    assert report.spent.requests == len(server.asked) == len(set(map(str, server.asked))) + 3
    assert report.spent.tokens == 105 * (len(server.asked) - 3)
    found = scores(data_folder)
    means = {mean.measure: mean for mean in found.means()}
    assert set(means) == {"detection", "fuzzing", "llm_intruder"}
    assert all(8 < mean.features <= 12 and mean.null is not None for mean in means.values())
    dictionary = next(one for one in Source(data_folder / "features.sqlite").dictionaries if one.name == "data-points")
    explanations = found.explanations(dictionary.id)
    for index, explanation in explanations.items():
        assert explanation == found.explanation(dictionary.id, index)
        assert explanation.prompt_version == Prompts.load().version
        assert (explanation.unreadable, explanation.prompt_tokens % 100) == (0, 0) and explanation.answers >= 6
    assert sum(bool(one.text) for one in explanations.values()) > 8  # the others peak on a quotation mark
    before, asked = (data_folder / "scores.sqlite").read_bytes(), len(server.asked)
    again = run(server, data_folder)
    assert len(server.asked) == asked and again.spent.tokens == 0
    assert (data_folder / "scores.sqlite").read_bytes() == before
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert not any(KEY.encode() in path.read_bytes() for path in data_folder.iterdir())


async def judged(server: Answerer, features: list[Feature], tmp_path: Path) -> list[list[Judged]]:
    endpoint, cache = Endpoint(server.url, "words", first_wait=0.001), Cache(tmp_path / "cache")
    done, _, failure = await ask_all(features, Prompts.load(), endpoint, cache, 10**6, lambda *_: None)
    cache.close()
    assert failure is None
    return [found for _, found in done]


def test_who_knows_the_word_is_always_right_and_chance_otherwise(server: Answerer, tmp_path: Path) -> None:
    text = a_text()
    one = block(text, hits_where(text, lambda word: word == " t1.3"))
    marks = [[peak] for peak in one.peak.tolist()]
    other = one.null(text)
    sides = tuple(Marked(hits, marks, text).asking() for hits in (one, other))
    ((own, null),) = asyncio.run(judged(server, [Feature(0, 0, sides)], tmp_path))
    assert own.text == "t1.3"
    # A moved mark, or a piece of a document where it is not known to fire, may hit the word by chance.
    assert own.scores["detection"] > 0.85 and own.scores["fuzzing"] > 0.85 and own.scores["llm_intruder"] == 1
    assert abs(null.scores["detection"] - 0.5) < 0.2 and abs(null.scores["fuzzing"] - 0.5) < 0.2
    questions = [*sides[0].detection, *sides[0].fuzzing]
    assert sum(sum(question.right) for question in questions) * 2 == sum(len(question.pieces) for question in questions)
    learnt, tested = set(sides[0].explained), {piece for question in questions for piece in question.pieces}
    assert len(learnt) == 10 and all(piece.count("<<") == piece.count(">>") == 1 for piece in learnt)
    assert not {piece.replace("<<", "").replace(">>", "") for piece in learnt} & tested


def test_a_cap_holds_and_more_goes_on_to_the_same_bytes(server: Answerer, data_folder: Path) -> None:
    capped = run(server, data_folder, cap=9_000, null=False)
    assert capped.capped and 0 < capped.done < capped.wanted and capped.spent.tokens <= 9_000
    assert len(scores(data_folder).explanations(1)) == capped.done
    whole = run(server, data_folder, null=False)
    assert (whole.done, whole.capped) == (12, False)
    assert whole.spent.requests + capped.spent.requests == len(server.asked) == len(set(map(str, server.asked)))
    made = (data_folder / "scores.sqlite").read_bytes()
    for path in data_folder.glob("llm-cache*"):
        path.unlink()
    (data_folder / "scores.sqlite").unlink()
    run(server, data_folder, null=False)
    assert (data_folder / "scores.sqlite").read_bytes() == made


def test_what_cannot_be_read_counts_as_chance(server: Answerer, data_folder: Path) -> None:
    server.mumbles = True
    run(server, data_folder, features=4, null=False)
    found = scores(data_folder)
    means = {mean.measure: mean.mean for mean in found.means()}
    assert means == pytest.approx({"detection": 0.5, "fuzzing": 0.5, "llm_intruder": 0.2})
    assert all(one.unreadable == one.answers > 0 for one in found.explanations(1).values())


def test_other_scores_and_other_dictionaries_stay(server: Answerer, data_folder: Path) -> None:
    with Stages(Console(quiet=True)) as stages:
        score_store(Source(data_folder / "features.sqlite"), Options(features=20, embedder=False), stages, "here")
    before = scores(data_folder).some(0)
    run(server, data_folder, features=2, null=False)
    run(server, data_folder, features=2, null=False, dictionaries=("random-sign",))
    found = scores(data_folder)
    assert len(found.explanations(0)) == len(found.explanations(1)) == 2
    assert [one.source for one in found.measures()][-1] == "language-model"
    asked = {"detection", "fuzzing", "llm_intruder"}
    after = {index: tuple(s for s in some if s.measure not in asked) for index, some in found.some(0).items()}
    assert {index: some for index, some in after.items() if some} == before


@pytest.mark.parametrize(
    ("statuses", "words"),
    [([401], "DARTBOARD_LLM_KEY"), ([404], "--model"), ([500] * 99, "6 attempts"), ([400], "400")],
)
def test_an_endpoint_that_refuses_is_one_sentence(
    server: Answerer, data_folder: Path, statuses: list[int], words: str
) -> None:
    server.failures = statuses * 4
    with pytest.raises(UserError, match=words) as refused:
        run(server, data_folder, features=1, null=False)
    assert KEY not in str(refused.value)
    with pytest.raises(UserError, match="no dictionary"):
        run(server, data_folder, dictionaries=("other",))


def test_answers_are_read_as_they_come() -> None:
    assert read_digits("[1, 0, 1]", 3) == read_digits("1, 0, 1", 3) == read_digits("My list: [1,0,1].", 3) == [1, 0, 1]
    assert read_digits("[1, 0]", 3) is read_digits("[1, 2, 0]", 3) is read_digits("", 3) is None
    assert read_choice("Piece 4.", 5) == read_choice("4", 5) == 4
    assert read_choice("1 or 2", 5) is read_choice("7", 5) is read_choice("none", 5) is None
    assert read_explanation('\n "The word south."\nBecause…') == "The word south."
    prompts = Prompts.load()
    system, user = prompts.messages("detection", ["a {count} b", "c"], "says {examples}")
    assert "2 pieces" in system["content"] and "says {examples}" in user["content"]
    assert "1. a {count} b\n2. c" in user["content"]


def test_a_cache_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a database, but long enough to look at " * 20)
    with pytest.raises(UserError, match="move it away"):
        Cache(tmp_path / "cache")
