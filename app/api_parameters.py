"""What the API's addresses may say after the question mark, for the OpenAPI document. `Listing` and `Query` read it."""

from typing import Any

from app.browse.listing import CHOICES
from app.browse.search import WAYS


def _parameter(name: str, words: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": words, "schema": {"type": kind, **more}}


PAGE = _parameter("page", "Which page, from 1.", "integer", minimum=1, default=1)
BOUND = "A number, or a percentage such as 0.1%."
CHOOSES = {
    "sort": "What the list is sorted by.",
    "order": "Ascending or descending.",
    "state": "Only features in this state.",
    "single": "Only features whose top contexts peak on one token, or only others.",
    "stars": "Only features that you have starred.",
}
LISTING = [
    *(_parameter(name, CHOOSES[name], enum=list(allowed)) for name, allowed in CHOICES.items()),
    _parameter("token", "Only features whose most common peak token holds this."),
    _parameter("score", "The machine score that is meant by the others of that name; only features that have it."),
    *(
        _parameter(f"{side}_{figure}", f"Only features whose {words} is at {end} this. {BOUND}")
        for figure, words in (
            ("frequency", "frequency"),
            ("max", "maximum"),
            ("entropy", "peak entropy"),
            ("score", "score"),
        )
        for side, end in (("min", "least"), ("max", "most"))
    ),
    PAGE,
]
SEARCH = [
    _parameter("q", 'What to search for: words, "phrases", beginnings*, -unwanted words; or a token.', maxLength=200),
    _parameter("by", "Where to look.", enum=list(WAYS), default="text"),
    _parameter("dictionary", "The name of the one dictionary to search; all of them, five features each, where unset."),
    PAGE,
]
