"""Freeze a study: read the feature store, draw features, build every screen, and store it all in one transaction.

    freeze(load_protocol(path), FeatureStore(settings.feature_path), study_store, actor="cli")

From then on a rater's routes read the study store alone, so that a rebuilt or lost feature store changes no item.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from app.material import Material
from app.screens import Hand, Screens
from app.store.features import FeatureStore
from app.store.study import Study, StudyStore, TokenSource, random_token
from app.study import blinding
from app.study.frozen import FrozenItem, FrozenStudy, KeyRow
from app.study.plan import Question, demand, items, questions
from app.study.protocol import Protocol
from app.study.sampling import draw_evenly
from app.toml import load_toml


@dataclass(frozen=True, slots=True)
class Drawing:
    """The items of a study, and the material that they were made of."""

    items: tuple[FrozenItem, ...]  # in order of public_id
    material: Material


def load_protocol(path: Path) -> Protocol:
    """A STUDY.toml. Raises NotFound where it is missing, UserError (naming the key) where it is not as it should be."""
    return load_toml(path, Protocol)


def freeze(protocol: Protocol, features: FeatureStore, store: StudyStore, actor: str) -> Study:
    """Draw, build and store a study. Raises NotFound, UserError, or Conflict where the name is taken."""
    store.check_name_is_free(protocol.name)  # drawing takes seconds
    return store.freeze(prepare(protocol, features, store.token), actor)


def prepare(protocol: Protocol, features: FeatureStore, token: TokenSource = random_token) -> FrozenStudy:
    """Everything of a study but its storing. Same protocol, feature store and tokens: same study."""
    secret, salt = token(), token()
    drawing = draw_items(protocol, features, secret)
    canonical = protocol.canonical(features.digest())
    return FrozenStudy(
        name=protocol.name,
        title=protocol.title,
        instructions=protocol.texts.instructions,
        protocol=canonical,
        protocol_hash=blinding.sha256_hex(canonical),
        secret=secret,
        key_salt=salt,
        key_commitment=blinding.commitment(salt, blinding.key_rows(drawing.items)),
        report=report(protocol, drawing),
        items=drawing.items,
    )


def draw_items(protocol: Protocol, features: FeatureStore, secret: str) -> Drawing:
    """Draw features and words by the protocol's seed, and build every item. Raises NotFound, UserError."""
    material = Material(protocol, features)
    asked = questions(protocol)
    hands = _deal(protocol, material, asked)
    screens = Screens(material)
    number, made = 0, []
    for question in asked:
        for item in _items(protocol, screens, question, hands, secret, number):
            made.append(item)
            number += 1
    return Drawing(tuple(sorted(made, key=lambda item: item.public_id)), material)


def _deal(protocol: Protocol, material: Material, asked: Sequence[Question]) -> dict[str, Iterator[Hand]]:
    """By arm, what its questions are made of, one hand a question and page, in the order in which they are asked.

    A null control is handed features whose highlights it copies: they are drawn beyond those shown, from each arm in turn,
    so that nobody meets the original. Whatever has a known answer is handed a word, or a number where it is instructed.
    """
    need = demand(asked)
    real = [arm.name for arm in protocol.real_arms]
    copied = {arm.name: list(islice(cycle(real), need[arm.name])) for arm in protocol.controls if arm.control == "null"}
    donors = Counter(name for names in copied.values() for name in names)
    drawn = {
        arm.name: iter(
            draw_evenly(
                {name: material.sources[name].candidates for name in arm.dictionaries},
                need[arm.name] + donors[arm.name],
                protocol.seed,
                protocol.sampling.strata,
            )
        )
        for arm in protocol.real_arms
    }
    hands = {name: iter([Hand("feature", next(drawn[name])) for _ in range(need[name])]) for name in real}
    hands |= {control: iter([Hand("null", next(drawn[name])) for name in names]) for control, names in copied.items()}
    return hands | _words(protocol, material, asked, set(hands))


def _words(
    protocol: Protocol, material: Material, asked: Sequence[Question], others: set[str]
) -> dict[str, Iterator[Hand]]:
    """By arm, the words of its planted pages and trials, and the numbers of instructed ones."""
    wanted = [(arm, question) for question in asked for arm in question.arms if arm not in others]
    trials = [items(protocol, question) for _, question in wanted if question.task == "intruder"]
    pages = sum(question.task != "intruder" and not question.instructed for _, question in wanted)
    if not wanted:
        return {}
    of_pages, of_trials = map(iter, material.plantable(pages, len(trials), max(trials, default=0)))
    numbers = count()
    hands: dict[str, list[Hand]] = {}
    for arm, question in wanted:
        if question.instructed:
            hand = Hand("instructed", number=next(numbers))
        else:
            hand = Hand("planted", word=next(of_trials if question.task == "intruder" else of_pages))
        hands.setdefault(arm, []).append(hand)
    return {arm: iter(dealt) for arm, dealt in hands.items()}


def _items(
    protocol: Protocol, screens: Screens, question: Question, hands: dict[str, Iterator[Hand]], secret: str, number: int
) -> Iterator[FrozenItem]:
    """The items of one question; the first has this number in the study."""
    dealt = [(arm, next(hands[arm])) for arm in question.arms]
    if question.task == "intruder":
        [(arm, hand)] = dealt
        shown = [[(arm, hand, one)] for one in screens.trials(hand, items(protocol, question))]
    else:
        shown = [[(arm, hand, screens.page(hand)) for arm, hand in dealt]]
    for place, pages in enumerate(shown):
        key = tuple(
            KeyRow(
                name,
                arm,
                hand.drawn.candidate.dictionary if hand.kind == "feature" and hand.drawn else None,
                hand.drawn.candidate.feature if hand.kind == "feature" and hand.drawn else None,
                one.stratum,
            )
            for name, (arm, hand, one) in zip("ab", pages, strict=False)
        )
        known = pages[0][2].expected if question.purpose in ("catch", "practice") else None
        yield FrozenItem(
            public_id=blinding.item_id(secret, number + place),
            task=question.task,
            pages={name: one.page for name, (_, _, one) in zip("ab", pages, strict=False)},
            turns=question.turns,
            key=key,
            purpose=question.purpose,
            expected=known,
        )


def report(protocol: Protocol, drawing: Drawing) -> dict[str, Any]:
    """What each arm shows, by item's purpose and by stratum, and what each dictionary could not: for staff."""
    arms: dict[str, Any] = {}
    for arm in protocol.arms:
        own = [(item, row) for item in drawing.items for row in item.key if row.arm == arm.name]
        deciles = Counter(row.stratum["decile"] for _, row in own if row.dictionary)
        single = Counter(row.stratum["single_token"] for _, row in own if row.dictionary)
        arms[arm.name] = {
            "pages": sum(item.task != "intruder" for item, _ in own),
            "trials": sum(item.task == "intruder" for item, _ in own),
            "by_decile": [deciles[d] for d in range(protocol.sampling.strata)] if deciles else None,
            "single_token": single[True] if deciles else None,
        }
    return {
        "arms": arms,
        "items": dict(Counter(f"{item.purpose} {item.task}" for item in drawing.items)),
        "dictionaries": {name: source.counts for name, source in drawing.material.sources.items()},
    }
