"""Tables of the feature store: an immutable SQLite file that the pipeline writes and replaces whole.

SQLite's `application_id` marks the file as ours, `user_version` holds SCHEMA_VERSION. Ids are dense integers chosen by
the pipeline, so that one configuration always gives the same rows.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

APPLICATION_ID = 0x44415254  # "DART"
SCHEMA_VERSION = 1
HISTOGRAM_BINS_PER_OCTAVE = 8

metadata = MetaData()

provenance = Table(  # one row a key: config, versions, command, hashes, timings
    "provenance",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", JSON, nullable=False),
)

site = Table(  # a place in a model where activations are read
    "site",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("model", String, nullable=False),
    Column("model_hash", String, nullable=False),
    Column("layer", Integer, nullable=False),
    Column("d", Integer, nullable=False),
    Column("corpus", String, nullable=False),
    Column("corpus_hash", String, nullable=False),
    Column("context_length", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),  # tokens read, masked ones included
    Column("masked", JSON, nullable=False),  # {"special": 12, "sink": 1643, "padding": 0}
    Column("contexts", Integer, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("median_norm", Float, nullable=False),
    Column("gamma", Float, nullable=False),  # norm of the mean over the spread
    Column("spread", Float, nullable=False),  # root mean squared distance from the mean
)

dictionary = Table(
    "dictionary",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),  # slug, used in URLs
    Column("title", String, nullable=False),
    Column("kind", String, nullable=False),  # random-sign, data-points, topk-sae, …
    Column("trained", Boolean, nullable=False),
    Column("site_id", ForeignKey("site.id"), nullable=False),
    Column("m", Integer, nullable=False),
    Column("k", Integer, nullable=False),
    Column("rule", String, nullable=False),  # activation rule: topk, …
    Column("encoding", String, nullable=False),  # centred, raw
    Column("decoder", String, nullable=False),  # least-squares, tied, trained
    Column("seed", Integer, nullable=False),
    Column("fve", Float, nullable=False),  # fraction of variance explained on held-out documents
    Column("fve_fit", Float, nullable=False),  # … on the documents that fitted it
    Column("l0", Float, nullable=False),  # mean number of features that fire on a token
    Column("alive", Float, nullable=False),  # share of features that fired at least once
    Column("weights_hash", String, nullable=False),  # SHA-256 of encoder, decoder, biases
    Column("provenance", JSON, nullable=False),  # config of this dictionary; training curve and seconds where trained
)

document = Table(
    "document",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String, nullable=False),
)

context = Table(
    "context",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site_id", ForeignKey("site.id"), nullable=False),
    Column("document_id", ForeignKey("document.id"), nullable=False),
    Column("held_out", Boolean, nullable=False),  # its document fitted no dictionary
    Column("pool", Boolean, nullable=False),  # in the arm-neutral seeded sample that null pages draw on
    Column("tokens", JSON, nullable=False),  # list of display strings; joined they are the text
    Column("masked", JSON, nullable=False),  # positions that no feature may fire on
)

feature = Table(
    "feature",
    metadata,
    Column("dictionary_id", ForeignKey("dictionary.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("state", String, nullable=False),  # live, rare (too few contexts for a page), silent (never fired here)
    Column("count", Integer, nullable=False),  # tokens on which it fires
    Column("frequency", Float, nullable=False),  # count over unmasked tokens
    Column("contexts", Integer, nullable=False),  # top contexts held
    Column("max", Float, nullable=False),
    Column("mean", Float, nullable=False),  # over the tokens on which it fires
    Column("peak_entropy", Float, nullable=False),  # nats, of the peak tokens of the top contexts
    Column("single_token", Boolean, nullable=False),  # one and the same peak token in all top contexts
    Column("top_token", String, nullable=False),  # most common peak token ("" where silent)
    Column("histogram", JSON, nullable=False),  # {"first": b, "counts": […]}: bin b is [2^(b/8), 2^((b+1)/8))
    Index("feature_by_frequency", "dictionary_id", "frequency"),
    Index("feature_by_max", "dictionary_id", "max"),
    Index("feature_by_entropy", "dictionary_id", "peak_entropy"),
)

hit = Table(  # app.store.packing says what a blob holds
    "hit",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("feature", Integer, primary_key=True),
    Column("group", String, primary_key=True),  # top; q1 (strongest fifth of its contexts) … q5 (weakest)
    Column("blob", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
