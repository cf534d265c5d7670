"""The tables of an export and what each column holds: docs and codebook.csv are made of this, or held to it by tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "real", "flag"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind
    meaning: str


STAMP = (
    Column("study", "text", "the study's name"),
    Column(
        "protocol_hash", "text", "SHA-256 of the frozen protocol's canonical JSON: the same on every row of a study"
    ),
    Column(
        "key_commitment", "text", "salted hash of the table that says what each page is, made before the first rating"
    ),
    Column("chain_head", "text", "hash of the last rating in the study's chain: it binds every rating before it"),
)
RATINGS = (
    *STAMP,
    Column("rater", "text", "the rater's pseudonym, drawn at random"),
    Column(
        "item",
        "text",
        "the item's id, drawn at random, the same for all raters. No rater has seen it: each sees ids of their own",
    ),
    Column("purpose", "text", "`main`; `catch` for a page with a known answer; `guess` in the round after the close"),
    Column("order", "number", "the item's place in this rater's order, from 1"),
    Column(
        "repeat",
        "number",
        "1 where the item came to this rater a second time: it tells consistency, nothing else; else 0",
    ),
    Column(
        "revision",
        "number",
        "1, or more where the answer was undone and given again. The last one is exported",
    ),
    Column(
        "side",
        "text",
        "`left` or `right`: where the page stood that `arm`, `dictionary` and `feature` name. Empty but in a pair",
    ),
    Column("task", "text", "`page-score`, `pair-score`, `pair-choice`, `intruder-pick` or `guess`"),
    Column(
        "value",
        "text",
        "a score from 1 to 5; for `pair-choice`: `left`, `tie`, `right` or `neither`; for `intruder-pick`: the piece picked, "
        "from 1 to 5; for `guess`: an arm, or `unknown`. Empty where the question was skipped",
    ),
    Column("skip", "text", "why the question was skipped: `unreadable`, `unclear`, `upsetting` or `other`. Else empty"),
    Column("confidence", "number", "how sure the rater was, 1 to 5, where the study asks for it"),
    Column("explanation", "text", "the pattern in the rater's words, where the study asks for it"),
    Column(
        "server_ms",
        "number",
        "milliseconds from the first showing of the question to its answer, by the server's clock",
    ),
    Column(
        "visible_ms",
        "number",
        "milliseconds during which the page was visible, by the rater's browser. Empty where JavaScript is off",
    ),
    Column("at", "text", "when the answer was accepted: ISO 8601, UTC"),
    Column("staff", "flag", "`true` where the session that rated also was, or had been, an admin's or analyst's"),
    Column(
        "right",
        "flag",
        "after the reveal: whether an intruder was found, a guess or a page with a known answer is right",
    ),
    Column("arm", "text", "after the reveal: the arm of the page rated. For `pair-choice`: of the left page"),
    Column("dictionary", "text", "after the reveal: its dictionary. Empty for a control"),
    Column("feature", "number", "after the reveal: its index in that dictionary. Empty for a control"),
    Column("third", "text", "after the reveal, of an intruder trial: the third of the range, `top`, `middle` or `low`"),
    Column("other_arm", "text", "after the reveal, in a pair: the arm of the page on the other side"),
    Column("other_dictionary", "text", "… its dictionary"),
    Column("other_feature", "number", "… its feature"),
)
REVISIONS = (
    *STAMP,
    Column("number", "number", "the rating's place in the study's chain, from 1"),
    Column("rater", "text", "as in `ratings`"),
    Column("item", "text", "as in `ratings`"),
    Column("purpose", "text", "as in `ratings`, or `practice`"),
    Column("task", "text", "the item's task: `page`, `pair`, `intruder`; `guess` for a guess"),
    Column("order", "number", "as in `ratings`; practice is below 0"),
    Column("repeat", "number", "as in `ratings`"),
    Column("flip", "flag", "whether page `b` of a pair stood left"),
    Column("revision", "number", "from 1; a later one takes the place of the ones before"),
    Column(
        "counted", "text", "`accepted`, or `surplus` where it came when others had filled the item: kept, and left out"
    ),
    Column("answer", "text", "the answer as JSON; empty after a withdrawal"),
    Column("server_ms", "number", "as in `ratings`"),
    Column("visible_ms", "number", "as in `ratings`"),
    Column("at", "text", "as in `ratings`, to the microsecond"),
    Column("staff", "flag", "as in `ratings`"),
    Column("withdrawn_at", "text", "when its rater withdrew, which erased its content; else empty"),
    Column("salt", "text", "random bits that `content_hash` needs; erased by a withdrawal"),
    Column("previous", "text", "hash of the rating before it; the protocol's for the first"),
    Column("content_hash", "text", "salted hash of what the rating says"),
    Column("hash", "text", "hash of the three: previous, number, content_hash"),
)
ITEMS = (
    *STAMP,
    Column("item", "text", "as in `ratings`"),
    Column("purpose", "text", "`main`, `catch`, `practice` or `guess`"),
    Column("task", "text", "`page`, `pair` or `intruder`"),
    Column("page", "text", "`a` or `b`: a pair has two rows"),
    Column(
        "content", "text", "what the page shows, as JSON: blocks of snippets, each tokens, levels 0 to 4, and the peak"
    ),
    Column("content_hash", "text", "hash of the item's whole content; the key's commitment binds it"),
    Column("arm", "text", "after the reveal: the page's arm; `catch` or `practice` for those items"),
    Column("dictionary", "text", "after the reveal: empty for a control"),
    Column("feature", "number", "after the reveal: empty for a control"),
    Column(
        "stratum",
        "text",
        "after the reveal, as JSON: `decile` of firing frequency and `single_token`; what a null page `copies`; the word "
        "`planted`; the score `instructed`; of an intruder trial its `third` and the place of the `intruder`",
    ),
)
RATERS = (
    *STAMP,
    Column("rater", "text", "as in `ratings`"),
    Column("source", "text", "`invite`, `open` (a link for many), `crowd` (a platform's) or `simulated` (no person)"),
    Column("practice_tries", "number", "answers given to practice questions"),
    Column("created_at", "text", "when the rater was added, or came in by a link"),
    Column("consented_at", "text", "when the rater agreed"),
    Column("started_at", "text", "when the instructions were left"),
    Column("practised_at", "text", "when practice was passed"),
    Column("finished_at", "text", "when nothing was left to rate"),
    Column("told_at", "text", "when the rater was told which arms there were, to guess"),
    Column("debriefed_at", "text", "when the debrief was shown"),
    Column("released_at", "text", "when the places of one who left were given to others"),
    Column("withdrawn_at", "text", "when the rater withdrew: the answers are erased"),
)
FEATURES = (
    *STAMP,
    Column("arm", "text", "the arm of the study that shows this dictionary"),
    Column("dictionary", "text", "as in `ratings`: with `feature`, what a row is joined by"),
    Column("feature", "number", "its index in the dictionary"),
    Column("kind", "text", "the dictionary's kind: `random-sign`, `topk-sae` and so on"),
    Column("trained", "flag", "whether the dictionary was trained"),
    Column("m", "number", "features of the dictionary"),
    Column("k", "number", "features that fire on a token; empty where the rule sets no number"),
    Column(
        "state",
        "text",
        "`live`, `rare` (in too few contexts for a page), `never` (not in this text) or `dead` (cannot)",
    ),
    Column("count", "number", "tokens on which it fires"),
    Column("frequency", "real", "the share of tokens on which it fires"),
    Column("contexts", "number", "top contexts that the store holds"),
    Column("max", "real", "its largest activation"),
    Column("min", "real", "its most negative activation, where the rule has a negative tail"),
    Column("mean", "real", "its mean activation over the tokens on which it fires"),
    Column("peak_entropy", "real", "entropy of the peak tokens of its top contexts, in nats"),
    Column("single_token", "flag", "whether one and the same token is the peak of all its top contexts"),
    Column("top_token", "text", "its most common peak token"),
    Column(
        "decile_slope",
        "real",
        "slope, a decile, of the share of contexts that peak on its most common peak token, strongest to weakest",
    ),
    Column("second_frequency", "real", "the share of tokens of the second text on which it fires"),
    Column(
        "second_stability",
        "real",
        "how much alike the peak tokens of the two texts are: 1 is the same ones as often, 0 none in common",
    ),
)
TABLES: dict[str, tuple[Column, ...]] = {
    "ratings": RATINGS,
    "revisions": REVISIONS,
    "items": ITEMS,
    "raters": RATERS,
}
CODEBOOK = (
    Column("table", "text", "which table"),
    Column("column", "text", "which column of it"),
    Column("kind", "text", "`text`, `number`, `real` or `flag` (`true` or `false`)"),
    Column("meaning", "text", "what it holds"),
)


def codebook(tables: Mapping[str, Sequence[Column]] = TABLES) -> list[dict[str, Cell]]:
    """The rows of codebook.csv."""
    return [
        {"table": table, "column": column.name, "kind": column.kind, "meaning": column.meaning}
        for table, columns in tables.items()
        for column in columns
    ]
