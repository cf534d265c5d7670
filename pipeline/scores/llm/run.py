"""Have features explained by a language model, and the explanations scored by it; then written beside the other scores.

Stopped by a cap, an error or by hand, and run again, it goes on from the answers that are in the cache.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app import __version__
from app.errors import UserError
from pipeline.progress import Advance, Stages
from pipeline.scores.block import Block, blocks
from pipeline.scores.llm.cache import Cache, Reply
from pipeline.scores.llm.client import CapReached, Client, Endpoint, Spent
from pipeline.scores.llm.prompts import Prompts, read_choice, read_digits, read_explanation
from pipeline.scores.llm.questions import Asking, Marked, Question
from pipeline.scores.measures import LANGUAGE_MODEL, PIECES
from pipeline.scores.store import ScoreRow, Source, explained, publish_scores
from pipeline.scores.text import SiteText

ORIGIN = "language_model"
LONGEST = {"explain": 60, "detection": 40, "fuzzing": 40, "intruder": 10}  # tokens of an answer
NAMES = {"detection": "detection", "fuzzing": "fuzzing", "intruder": "llm_intruder"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be explained. `features`: of each dictionary; `dictionaries`: all, where none is named."""

    features: int
    dictionaries: tuple[str, ...] = ()
    seed: int = 0
    null: bool = True
    cap: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """`done` of `wanted` features; `capped`: the cap left no room for the others."""

    done: int
    wanted: int
    capped: bool
    spent: Spent


@dataclass(slots=True)
class Judged:
    """One side of a feature: its explanation, its scores, and what they took."""

    text: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    answers: int = 0
    unreadable: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, reply: Reply) -> str:
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        return reply.text


@dataclass(frozen=True, slots=True)
class Feature:
    dictionary: int
    index: int
    sides: tuple[Asking, ...]  # its own contexts, and random ones in their place


def explain_store(source: Source, request: Request, endpoint: Endpoint, stages: Stages, cache: Path) -> Report:
    """Explain and score features, and write what is done. Raises UserError, NotFound."""
    known = [one.name for one in source.dictionaries]
    for name in request.dictionaries:
        if name not in known:
            raise UserError(f"There is no dictionary {name!r} in this store; it has {', '.join(known)}.")
    with stages.stage("features"):
        features = _features(source, request)
    prompts, answers = Prompts.load(), Cache(cache)
    try:
        with stages.stage("explanations", len(features), "features") as advance:
            found, spent, failure = asyncio.run(ask_all(features, prompts, endpoint, answers, request.cap, advance))
    finally:
        answers.close()
    if found:
        _publish(source, request, endpoint, prompts, found)
    if failure is not None and not isinstance(failure, CapReached):
        raise failure
    return Report(len(found), len(features), failure is not None, spent)


def _features(source: Source, request: Request) -> list[Feature]:
    found = []
    for site in source.sites:
        chosen = [
            one
            for one in source.dictionaries
            if one.site_id == site.id and (not request.dictionaries or one.name in request.dictionaries)
        ]
        text = source.text(site, request.seed) if chosen else None
        for one in chosen:
            for block in blocks(one, source.facts(one), request.features, request.seed):
                assert text is not None
                found += _asked(source, block, text, request)
    return found


def _asked(source: Source, block: Block, text: SiteText, request: Request) -> list[Feature]:
    found = []
    for index in block.facts.index.tolist():
        hits = source.hits(block.dictionary, [index], text, request.seed)
        marks = source.marks(block.dictionary, index, text.id[hits.context].tolist())
        sides = [Marked(hits, marks, text).asking()]
        if request.null:
            sides.append(Marked(hits.null(text), marks, text).asking())
        found.append(Feature(block.dictionary.id, index, tuple(sides)))
    return found


Done = tuple[Feature, list[Judged]]


async def ask_all(
    features: Sequence[Feature], prompts: Prompts, endpoint: Endpoint, cache: Cache, cap: int, advance: Advance
) -> tuple[list[Done], Spent, Exception | None]:
    """Those that were done, in order, what they took, and what stopped the others, if anything did."""
    at_work = asyncio.Semaphore(endpoint.concurrency)
    stopped: list[Exception] = []
    async with Client(endpoint, cache, cap) as client:

        async def one(feature: Feature) -> Done | None:
            async with at_work:
                if stopped:
                    return None
                try:
                    judged = [await _judge(side, prompts, client) for side in feature.sides]
                except (CapReached, UserError) as error:
                    stopped.append(error)
                    return None
                advance(1, f"{client.spent.tokens:,} tokens")
                return feature, judged

        found = [done for done in await asyncio.gather(*map(one, features)) if done is not None]
        return found, client.spent, stopped[0] if stopped else None


async def _judge(asking: Asking, prompts: Prompts, client: Client) -> Judged:
    judged = Judged()
    if asking.explained:
        reply = await client.ask(prompts.messages("explain", asking.explained), LONGEST["explain"])
        judged.text = read_explanation(judged.count(reply))

    async def ask(task: str, question: Question) -> list[float]:
        """How right the answer is about each piece; one that can't be read is worth what chance is."""
        messages = prompts.messages(task, question.pieces, judged.text)
        answer = judged.count(await client.ask(messages, LONGEST[task]))
        judged.answers += 1
        if task == "intruder":
            choice = read_choice(answer, len(question.pieces))
            judged.unreadable += choice is None
            return [1 / PIECES if choice is None else float(choice == question.right[0])]
        digits = read_digits(answer, len(question.pieces))
        judged.unreadable += digits is None
        return [0.5 if digits is None else float(digits[n] == right) for n, right in enumerate(question.right)]

    tasks: list[tuple[str, tuple[Question, ...], Callable[..., float]]] = [("intruder", asking.intruder, _mean)]
    if judged.text:
        tasks += [("detection", asking.detection, _balanced), ("fuzzing", asking.fuzzing, _balanced)]
    for task, questions, value in tasks:
        right = [one for part in await _together([ask(task, question) for question in questions]) for one in part]
        if right:
            judged.scores[NAMES[task]] = value(right, [one for question in questions for one in question.right])
    return judged


async def _together(waiting: Sequence[Awaitable[list[float]]]) -> list[list[float]]:
    """All of them, or the first failure, once none is under way any more: what is being paid for is kept."""
    found = await asyncio.gather(*waiting, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _mean(right: Sequence[float], _: Sequence[int]) -> float:
    return float(np.mean(right))


def _balanced(right: Sequence[float], digits: Sequence[int]) -> float:
    """Mean of the shares that are right among pieces of the feature and among the others."""
    sides = [[r for r, digit in zip(right, digits, strict=True) if digit == side] for side in (0, 1)]
    return float(np.mean([np.mean(side) for side in sides if side]))


def _publish(source: Source, request: Request, endpoint: Endpoint, prompts: Prompts, found: Sequence[Done]) -> None:
    """What other features were given by the same model and prompts stays."""
    made = {"model": endpoint.model, "prompt_version": prompts.version, "seed": request.seed}
    done = {(feature.dictionary, feature.index) for feature, _ in found}
    names = [one.name for one in LANGUAGE_MODEL]
    scores, texts = explained(source, ORIGIN, made, names, done)
    for feature, judged in found:
        own, null = judged[0], judged[1].scores if len(judged) > 1 else {}
        scores += [(feature.dictionary, feature.index, n, v, null.get(n)) for n, v in own.scores.items()]
        texts.append(_explanation(feature, judged, made))
    texts.sort(key=lambda row: (row["dictionary_id"], row["feature"]))
    provenance = {**made, "url": endpoint.url, "version": __version__}
    rows: list[ScoreRow] = sorted(scores, key=lambda row: row[:3])
    publish_scores(source, ORIGIN, names, rows, provenance, texts)


def _explanation(feature: Feature, judged: Sequence[Judged], made: dict[str, Any]) -> dict[str, Any]:
    own = judged[0]
    return {
        "dictionary_id": feature.dictionary,
        "feature": feature.index,
        "text": own.text,
        "model": made["model"],
        "prompt_version": made["prompt_version"],
        "unreadable": own.unreadable,
        "answers": own.answers,
        "prompt_tokens": sum(side.prompt_tokens for side in judged),
        "completion_tokens": sum(side.completion_tokens for side in judged),
    }
