"""A list of features as an address describes it: filters, order, page. Read from a query string and written to one."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlencode

from app.errors import LoginNeeded, NotFound, Unprocessable
from app.render import figure, share
from app.store.features import SORTS, Dictionary, FeatureFilter, FeatureStore

PAGE_SIZE = 50
STATES = ("live", "rare", "never", "dead")


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One filter of a list, and the query without it."""

    words: str
    without: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Field names are the names in the address; a field at its default is left out of it."""

    sort: str = "frequency"
    order: str = "desc"
    page: int = 1
    state: str | None = None
    single: str | None = None  # "yes", "no"
    token: str | None = None
    min_frequency: float | None = None
    max_frequency: float | None = None
    min_max: float | None = None
    max_max: float | None = None
    min_entropy: float | None = None
    max_entropy: float | None = None
    stars: str | None = None  # "yes"
    score: str | None = None  # name of a measure
    min_score: float | None = None
    max_score: float | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Read a query string; empty values count as absent. Raises Unprocessable with the name of a bad one."""
        given = {field.name: query[field.name] for field in fields(cls) if query.get(field.name)}
        values: dict[str, Any] = dict(given)
        for name, allowed in CHOICES.items():
            if name in given and given[name] not in allowed:
                raise Unprocessable(f"“{name}” in the address is {' or '.join(allowed)}, not “{given[name][:40]}”.")
        for name in BOUNDS:
            if name in given:
                values[name] = number(name, given[name])
        if "page" in given:
            values["page"] = page_number(given["page"])
        found = cls(**values)
        if found.score is None and (
            found.sort == "score" or found.min_score is not None or found.max_score is not None
        ):
            raise Unprocessable("The address asks for a score, but “score” does not say which one: name a measure.")
        return found

    def query(self, **changes: Any) -> str:
        """This listing, with changes, as a query string with its question mark; empty where all is default."""
        return query_of(replace(self, **changes), Listing())

    def sorted_by(self, sort: str) -> str:
        """The query that sorts by a column: descending first, then the other way round. Starts at the first page."""
        order = "asc" if self.sort == sort and self.order == "desc" else "desc"
        return self.query(sort=sort, order=order, page=1)

    @property
    def cleared(self) -> str:
        """The query that keeps the order and drops every filter."""
        return Listing().query() if self.sort == "score" else Listing(sort=self.sort, order=self.order).query()

    @property
    def active(self) -> tuple[Narrowing, ...]:
        """Each filter in words, with the query of the list without it."""
        return tuple(
            Narrowing(words(getattr(self, name)), self.without(name))
            for name, words in WORDS.items()
            if getattr(self, name) is not None
        )

    def without(self, name: str) -> str:
        """The query without one filter, and without what means nothing without it."""
        changes: dict[str, Any] = {name: None, "page": 1}
        if name == "score":
            changes |= {"min_score": None, "max_score": None}
            changes |= {"sort": "frequency", "order": "desc"} if self.sort == "score" else {}
        return self.query(**changes)

    @property
    def bounded(self) -> bool:
        """Whether some bound is set on a figure, or a score is chosen."""
        return self.score is not None or any(getattr(self, name) is not None for name in BOUNDS)

    def where(self, starred: frozenset[int] | None = None) -> FeatureFilter:
        """`starred`: the features that count as such."""
        return FeatureFilter(
            state=self.state,
            single_token=None if self.single is None else self.single == "yes",
            token=self.token,
            **{name: getattr(self, name) for name in BOUNDS},
            among=starred if self.stars else None,
            score=self.score,
        )


BOUNDS = tuple(f"{end}_{of}" for of in ("frequency", "max", "entropy", "score") for end in ("min", "max"))
CHOICES = {"sort": tuple(SORTS), "order": ("asc", "desc"), "state": STATES, "single": ("yes", "no"), "stars": ("yes",)}


WORDS: dict[str, Callable[[Any], str]] = {
    "token": lambda value: f"peak token contains “{value}”",
    "state": lambda value: "never fired" if value == "never" else str(value),
    "single": lambda value: "single token" if value == "yes" else "several tokens",
    "min_frequency": lambda value: f"frequency from {share(value)}",
    "max_frequency": lambda value: f"frequency to {share(value)}",
    "min_max": lambda value: f"maximum from {figure(value)}",
    "max_max": lambda value: f"maximum to {figure(value)}",
    "min_entropy": lambda value: f"entropy from {figure(value)}",
    "max_entropy": lambda value: f"entropy to {figure(value)}",
    "stars": lambda value: "starred",
    "score": lambda value: f"has a score: {value}",
    "min_score": lambda value: f"score from {figure(value)}",
    "max_score": lambda value: f"score to {figure(value)}",
}


def number(name: str, text: str) -> float:
    """A number, or a percentage as the pages show shares: 0.021 and 2.1% are the same."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unprocessable(f"“{name}” in the address is a number such as 0.001 or 0.1%, not “{text[:40]}”.")
    return value


def query_of(wanted: Any, default: Any) -> str:
    """Of two instances of a dataclass, what is not at its default, as a query string; empty where all is."""
    usual = asdict(default)
    given = {name: value for name, value in asdict(wanted).items() if value != usual[name]}
    return f"?{urlencode(given, errors='replace')}" if given else ""


def natural(name: str, text: str, least: int = 0) -> int:
    """A whole number of at most nine digits; `least` is what the message says."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unprocessable(f"“{name}” in the address is a whole number from {least}, not “{text[:40]}”.")
    return int(text)


def page_number(text: str) -> int:
    return natural("page", text, 1)


@dataclass(frozen=True, slots=True)
class FeaturePage:
    """One page of a listing, with the numbers that a table or a client needs to say where it stands."""

    listing: Listing
    indices: tuple[int, ...]
    total: int
    pages: int

    @property
    def first(self) -> int:
        """Rank of the first feature on this page, from 1; 0 on an empty page."""
        return (self.listing.page - 1) * PAGE_SIZE + 1 if self.indices else 0

    @property
    def last(self) -> int:
        return (self.listing.page - 1) * PAGE_SIZE + len(self.indices)


def feature_page(
    store: FeatureStore,
    dictionary: Dictionary,
    listing: Listing,
    *,
    measures: Collection[str] = (),
    starred: frozenset[int] | None = None,
) -> FeaturePage:
    """One page of a list. `measures`: those that features can be listed by; `starred`: None where nobody is signed in.

    Raises NotFound for a page that there is not, Unprocessable for a score that there is not, LoginNeeded for nobody's stars.
    """
    if listing.score is not None and listing.score not in measures:
        known = f"it has {', '.join(measures)}" if measures else "make some with `dartboard scores`"
        raise Unprocessable(f"This store has no scores “{listing.score[:40]}”: {known}.")
    if listing.stars and starred is None:
        raise LoginNeeded(
            "Stars belong to a login; run `dartboard login` on the server and open the link that it prints."
        )
    where = listing.where(starred)
    total = store.count(dictionary.id, where)
    pages = max(math.ceil(total / PAGE_SIZE), 1)
    if not 1 <= listing.page <= pages:
        raise NotFound(
            f"There is no page {listing.page} of this list; the last is {pages}.",
            nearest=f"/dictionaries/{dictionary.name}{listing.query(page=pages if listing.page else 1)}",
        )
    indices = store.indices(
        dictionary.id,
        where=where,
        sort=listing.sort,
        descending=listing.order == "desc",
        limit=PAGE_SIZE,
        offset=(listing.page - 1) * PAGE_SIZE,
    )
    return FeaturePage(listing, tuple(indices), total, pages)
