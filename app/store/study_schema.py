"""Tables of the study store. Alembic's migrations build them; a test holds the two to each other.

`rating` and `audit` only grow. `item_key` is sealed: `app.store.sealed` alone reads it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite keeps it without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("instructions", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("protocol", Text, nullable=False),  # canonical JSON, byte for byte what was hashed
    Column("protocol_hash", String, nullable=False),
    Column("secret", String, nullable=False),  # of the ids that raters see
    Column("key_salt", String, nullable=False),
    Column("key_commitment", String, nullable=False),
    Column("report", JSON, nullable=False),  # by arm: eligible, dead, rare, drawn
    Column("created_at", Utc, nullable=False),
    Column("closed_at", Utc),
    Column("guessing_at", Utc),  # when the guessing round began
    Column("revealed_at", Utc),
    CheckConstraint("state IN ('open', 'paused', 'closed', 'guessing', 'revealed')", name="state"),
)

item = Table(
    "item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False, index=True),
    Column("public_id", String, nullable=False, unique=True),
    Column("task", String, nullable=False),
    Column("pages", JSON, nullable=False),  # {"a": page} or {"a": page, "b": page}
    Column("turns", Integer, nullable=False),  # items of one number take sides in turn
    Column("purpose", String, nullable=False, server_default="main"),  # main, catch, practice, guess
    # Of a practice or catch item: the right answer and what a rater is told of it. It names no arm.
    Column("expected", JSON(none_as_null=True)),
    Column("content_hash", String),  # of FrozenItem.shown()
    Column("accepted", Integer, nullable=False, server_default="0"),  # first ratings that count; kept by each submit
    Index(None, "study_id", "purpose", "accepted"),
    CheckConstraint("purpose IN ('main', 'catch', 'practice', 'guess')", name="purpose"),
)

item_key = Table(  # sealed
    "item_key",
    metadata,
    Column("item_id", ForeignKey("item.id"), primary_key=True),
    Column("page", String, primary_key=True),
    Column("arm", String, nullable=False),
    Column("dictionary", String),
    Column("feature", Integer),
    Column("stratum", JSON, nullable=False),
    Column("seal", String),  # app.study.blinding.seal of this row
)

link = Table(  # an open link, or a crowd platform's: each use makes a rater
    "link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String, nullable=False, unique=True),
    Column("study_id", ForeignKey("study.id"), nullable=False, index=True),
    Column("kind", String, nullable=False),  # open, crowd
    Column("cap", Integer, nullable=False),  # raters that may come in by it
    Column("completion_code", String),  # of the platform: shown after the last answer is saved
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

rater = Table(
    "rater",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False, index=True),
    Column("pseudonym", String, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("source", String, nullable=False, server_default="invite"),  # invite, open, crowd, simulated
    Column("link_id", ForeignKey("link.id"), index=True),
    Column("created_at", Utc, nullable=False),
    Column("consented_at", Utc),
    Column("started_at", Utc),  # the instructions were left
    Column("practised_at", Utc),  # practice was passed
    Column("practice_tries", Integer, nullable=False, server_default="0"),
    Column("finished_at", Utc),  # nothing was left to rate
    Column("told_at", Utc),  # which arms there were, before guessing
    Column("debriefed_at", Utc),
    Column("released_at", Utc),  # an admin gave the places of one who left to others
    Column("withdrawn_at", Utc),
    Column("completion_code", String),
)

platform_id = Table(  # who a crowd platform says a rater is: apart from the rest, never exported
    "platform_id",
    metadata,
    Column("rater_id", ForeignKey("rater.id"), primary_key=True),
    Column("link_id", ForeignKey("link.id"), nullable=False),
    Column("participant", String, nullable=False),
    Column("study", String, nullable=False),
    Column("session", String, nullable=False),
    UniqueConstraint("link_id", "participant"),
)

invite = Table(
    "invite",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String, nullable=False, unique=True),
    Column("rater_id", ForeignKey("rater.id"), nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

login_link = Table(
    "login_link",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String, nullable=False, unique=True),
    Column("role", String, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("role", String),
    Column("name", Text, nullable=False),
    Column("was_staff", Boolean, nullable=False),
    Column("rater_id", ForeignKey("rater.id")),
    Column("expires_at", Utc, nullable=False),
)

assignment = Table(
    "assignment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rater_id", ForeignKey("rater.id"), nullable=False),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    # 1 where the item comes a second time; of an item of the guessing round, 0 is its score and 1 the guess
    Column("repeat", Integer, nullable=False, server_default="0"),
    Column("position", Integer, nullable=False),  # 1-based, in this rater's order; practice below 0
    Column("flip", Boolean, nullable=False),  # page "b" stands left
    Column("public_id", String, nullable=False, unique=True),  # what this rater sees of the item
    # leased; accepted: it counts; surplus: it came after its lease had gone to others, kept and left out; withdrawn
    Column("state", String, nullable=False),
    Column("reopened", Boolean, nullable=False, server_default=false()),  # by undo; the last revision stands until then
    Column("claimed_at", Utc, nullable=False),
    Column("lease_until", Utc, nullable=False),
    Column("served_at", Utc, nullable=False),  # when the open revision was first shown
    CheckConstraint("state IN ('leased', 'accepted', 'surplus', 'withdrawn')", name="state"),
    UniqueConstraint("rater_id", "item_id", "repeat"),
    UniqueConstraint("rater_id", "position"),
    Index(None, "item_id", "state"),
    Index(None, "state", "lease_until"),
)

rating = Table(  # append-only, but that a withdrawal empties answer, times and salt: app.study.chain says why it may
    "rating",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("assignment_id", ForeignKey("assignment.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("answer", JSON(none_as_null=True)),
    Column("server_ms", Integer),
    Column("visible_ms", Integer),
    Column("staff", Boolean, nullable=False),
    Column("at", Utc, nullable=False),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1-based place in the study's chain
    Column("counted", String, nullable=False),  # accepted or surplus, as it was when it came
    Column("salt", String),
    Column("previous", String, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("withdrawn_at", Utc),
    UniqueConstraint("assignment_id", "revision"),
    UniqueConstraint("study_id", "number"),
)

draft = Table(  # study files that an admin is still writing
    "draft",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("who", Text, nullable=False),
)

feature_list = Table(  # a list of features that a user of the browse pages keeps; raters never see one
    "feature_list",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner", Text, nullable=False),  # the name of a login
    Column("name", Text, nullable=False),
    Column("kind", String, nullable=False),  # stars (one an owner), list
    Column("position", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    CheckConstraint("kind IN ('stars', 'list')", name="kind"),
    UniqueConstraint("owner", "name"),
)

listed_feature = Table(
    "listed_feature",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("list_id", ForeignKey("feature_list.id"), nullable=False),
    Column("dictionary", String, nullable=False),
    Column("feature", Integer, nullable=False),
    Column("weights_hash", String, nullable=False),  # of the dictionary that was looked at, since a build may change it
    Column("position", Integer, nullable=False),
    Column("added_at", Utc, nullable=False),
    UniqueConstraint("list_id", "dictionary", "feature"),
)

feature_note = Table(
    "feature_note",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("dictionary", String, nullable=False),
    Column("feature", Integer, nullable=False),
    Column("weights_hash", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("updated_at", Utc, nullable=False),
    UniqueConstraint("owner", "dictionary", "feature"),
)

audit = Table(  # append-only
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", String, nullable=False),
    Column("study_id", ForeignKey("study.id")),
    Column("detail", JSON, nullable=False),
)
