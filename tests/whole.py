"""A study with every screen that a rater can meet, its texts readable; made by hand, so that no feature store is needed."""

from dataclasses import replace
from typing import Any

from app.study.answers import PIECES
from app.study.content import Block, Page, Snippet, page
from app.study.frozen import FrozenItem, FrozenStudy
from tests.studies import frozen_study

NAME = "whole"
SENTENCES = (
    "In the spring of that year the river rose above its banks and",
    "The committee met twice, and its report said nothing of the cost",
    "She had played the violin since childhood, mostly in small halls",
    "A second engine was fitted in 1931; the first was sold for parts",
    "Nobody at the station knew when the last train would come through",
    "The species lives on rocky coasts, where it feeds on algae and",
    "After the match he told reporters that the team would have to",
    "Its walls are of a pale stone that is quarried some miles away",
    "They signed the treaty in October, but fighting went on until",
    "The album was recorded in nine days and reached the top of the",
    "From the tower one can see the harbour and, on clear days, the",
    "Early maps show the road as a track along the edge of the marsh",
)


def whole_study(**changes: Any) -> FrozenStudy:
    """Two pages, a pair, an intruder trial and a catch page; one page to practise on, two to guess on.

    `changes` are those of `frozen_study`.
    """
    counts = {"pages": 2, "pairs": 1, "intruders": 1, "catch": 1, "practice": 1, "guess": 2}
    study = frozen_study(**{"name": NAME, **counts, "asks": True, "raters_per_item": 100, **changes})
    return replace(study, items=tuple(_readable(item, number) for number, item in enumerate(study.items)))


def _readable(item: FrozenItem, number: int) -> FrozenItem:
    if item.task == "intruder":
        trial = Block("", tuple(_snippet(number + place, number) for place in range(PIECES)))
        return replace(item, pages={"a": Page((trial,))})
    pages = {
        side: page([[_snippet(4 * block + place, number + ord(side)) for place in range(4)] for block in range(3)])
        for side in item.pages
    }
    return replace(item, pages=pages)


def _snippet(sentence: int, word: int) -> Snippet:
    """A sentence with one of its words marked as the peak, and its neighbour faintly."""
    tokens = tuple(f" {token}" for token in SENTENCES[sentence % len(SENTENCES)].split())
    peak = word % (len(tokens) - 1)
    return Snippet(tokens, tuple({peak: 4, peak + 1: 1}.get(place, 0) for place in range(len(tokens))), peak)
