"""Tables of the machine scores: a SQLite file beside the feature store that it belongs to, replaced whole.

SQLite's `application_id` marks the file as ours, `user_version` holds SCHEMA_VERSION. It is bound to a feature store by that
store's build key: equal keys mean equal stores, so scores outlive a store that is built anew from the same file.
"""

from sqlalchemy import JSON, Column, Float, Index, Integer, MetaData, String, Table

APPLICATION_ID = 0x44415353  # "DASS"
SCHEMA_VERSION = 1

metadata = MetaData()

provenance = Table(  # one row a key: feature_store {build_key, digest}, options, versions, embedder, language_model
    "provenance",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", JSON, nullable=False),
)

measure = Table(
    "measure",
    metadata,
    Column("name", String, primary_key=True),
    Column("place", Integer, nullable=False),  # in which order they are shown
    Column("source", String, nullable=False),  # tokens, embedder, language-model
    Column("title", String, nullable=False),
    Column("meaning", String, nullable=False),  # one sentence
    Column("chance", Float),  # what knows nothing scores; null where the null alone says it
    Column("low", Float),  # smallest and largest value there can be; null where there is no bound
    Column("high", Float),
)

score = Table(  # no row where a feature has too few contexts for a measure
    "score",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("feature", Integer, primary_key=True),
    Column("measure", String, primary_key=True),
    Column("value", Float, nullable=False),
    Column("null_value", Float),  # the same, of random contexts in place of the feature's own
    Index("score_by_value", "dictionary_id", "measure", "value", "feature"),
    sqlite_with_rowid=False,
)

explanation = Table(  # what a language model says that a feature's contexts have in common
    "explanation",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("feature", Integer, primary_key=True),
    Column("text", String, nullable=False),
    Column("model", String, nullable=False),
    Column("prompt_version", String, nullable=False),
    Column("unreadable", Integer, nullable=False),  # answers of its scoring that could not be read, and count as chance
    Column("answers", Integer, nullable=False),  # … of so many
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    sqlite_with_rowid=False,
)
