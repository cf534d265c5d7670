"""Tables of the feature store: an immutable SQLite file that the pipeline writes and replaces whole.

`provenance`, `site`, `dictionary`, `document`, `context`, `feature`, `hit`, `relation` and `comparison` hold what a build
found. What searches need follows from them, and is no part of the digest: the indexes, `context_feature`, `output_token`, and the
full-text index `context_text` over the contexts' text, whose rowid is the context's id.

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
SCHEMA_VERSION = 3
HISTOGRAM_BINS_PER_OCTAVE = 8
FEATURE_KEY = "sqlite_autoindex_feature_1"  # of the primary key
FEATURE_FIGURES = "feature_figures"
"""An index with every column that lists are made of (app.store.columns): of 100,000 features no row is read."""

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
    Column("weights", String, nullable=False),  # the model's control: trained, re-randomised, step-0, …
    Column("embeddings", String, nullable=False),  # … and that of its embeddings: trained, gaussian
    Column("second_corpus", String),  # a second text that every feature was looked at on
    Column("second_tokens", Integer),
    Column(
        "drift", JSON(none_as_null=True)
    ),  # what bfloat16 products changed, measured on the sample; null where they are float32
)

dictionary = Table(
    "dictionary",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),  # slug, used in URLs
    Column("title", String, nullable=False),
    Column("family", String, nullable=False),  # dictionaries that differ in nothing but their seed share it
    Column("kind", String, nullable=False),  # random-sign, data-points, topk-sae, …
    Column("trained", Boolean, nullable=False),
    Column("site_id", ForeignKey("site.id"), nullable=False),
    Column("m", Integer, nullable=False),
    Column("natural_size", Boolean, nullable=False),  # m is what the kind gives, not what the others share
    Column("k", Integer),  # null where the rule sets no number
    Column("rule", String, nullable=False),  # activation rule: topk, …
    Column("encoding", String, nullable=False),  # centred, raw, whitened, own
    Column("decoder", String, nullable=False),  # least-squares, tied, trained, own, none
    Column("seed", Integer, nullable=False),
    # Figures: docs/measures.md has each formula. Null where there is no decoder, or where it was not asked for.
    Column("fve", Float),  # fraction of variance explained on held-out documents
    Column("fve_fit", Float),  # … on the documents that fitted it
    Column("mse", Float),  # mean squared error, per dimension, on held-out documents
    Column("floor_isotropic", Float),  # FVE of random directions of this size on isotropic Gaussian tokens
    Column("floor_covariance", Float),  # … on Gaussian tokens with the covariance of the activations
    Column("l0", Float),  # mean number of features that fire on a token
    Column("alive", Float, nullable=False),  # share of features that fired at least once
    Column("above_1pct", Float, nullable=False),  # share of features that fire on more than 1% of tokens
    Column("above_10pct", Float, nullable=False),  # … more than 10%
    Column("ce_recovered", Float),  # share of the cross-entropy lost by mean-ablation that its reconstruction recovers
    Column("kl_score", Float),  # the same of the KL divergence from the whole model
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
    Column("state", String, nullable=False),  # app.store.features.State
    Column("count", Integer, nullable=False),  # tokens on which it fires
    Column("frequency", Float, nullable=False),  # count over unmasked tokens
    Column("contexts", Integer, nullable=False),  # top contexts held
    Column("max", Float, nullable=False),
    Column("min", Float),  # of the negative tail; null unless the rule has one
    Column("mean", Float, nullable=False),  # over the tokens on which it fires
    Column("peak_entropy", Float, nullable=False),  # nats, of the peak tokens of the top contexts
    Column("single_token", Boolean, nullable=False),  # one and the same peak token in all top contexts
    Column("top_token", String, nullable=False),  # most common peak token ("" where it never fired)
    Column("histogram", JSON, nullable=False),  # {"first": b, "counts": […]}: bin b is [2^(b/8), 2^((b+1)/8))
    Column("decile_slope", Float),  # docs/measures.md has this one and the next two
    Column("second_frequency", Float),  # share of the second corpus's tokens on which it fires
    Column("second_stability", Float),
    Column("outputs", JSON(none_as_null=True)),  # {"top": [[token, value], …], "bottom": […]}: logit lens
    Index(
        FEATURE_FIGURES,
        *("dictionary_id", "index", "state", "single_token", "frequency", "max", "mean", "peak_entropy", "top_token"),
    ),
)

hit = Table(  # all hits of a feature that has any; app.store.packing says what a blob holds, and which groups there are
    "hit",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("feature", Integer, primary_key=True),
    Column("blob", LargeBinary, nullable=False),
)

relation = Table(  # a feature's nearest in one dictionary; app.store.packing.pack_related says what a blob holds
    "relation",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("feature", Integer, primary_key=True),
    Column("other_id", Integer, primary_key=True),  # the dictionary that they are of: its own, or another
    Column("kind", String, primary_key=True),  # neighbour (value: cosine), cofiring (value: Jaccard index)
    Column("blob", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

comparison = Table(  # what one dictionary's directions find in another's; not symmetric
    "comparison",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("other_id", Integer, primary_key=True),
    Column("mmcs", Float, nullable=False),  # mean over its features of the largest cosine with one of the other's
    Column("curves", JSON, nullable=False),  # {"quantiles": […], "1": […], "10": […], "100": […]}: cosine by neighbour
    sqlite_with_rowid=False,
)

context_feature = Table(  # the features that have a hit in a context: hits the other way round
    "context_feature",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("context_id", Integer, primary_key=True),
    # app.store.postings: feature, position of the peak, and strength: the hit's share of the feature's largest, 1 to 255
    Column("blob", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

output_token = Table(  # the features whose logit lens names a token
    "output_token",
    metadata,
    Column("dictionary_id", Integer, primary_key=True),
    Column("key", String, primary_key=True),  # app.store.matching.token_key of the token: what is searched for
    Column("token", String, primary_key=True),
    Column("raises", LargeBinary, nullable=False),  # app.store.postings: feature, and the token's place in its list
    Column("lowers", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

TOKENIZER = "unicode61 remove_diacritics 2"  # of SQLite: runs of letters and digits, in lower case, without accents
CONTEXT_TEXT = f"CREATE VIRTUAL TABLE context_text USING fts5(text, content='', tokenize='{TOKENIZER}')"
"""Contentless: the text is in `context`. Made by CONTEXT_TEXT, since SQLAlchemy knows no virtual tables."""

HIGHLIGHTED = f"CREATE VIRTUAL TABLE shown USING fts5(text, tokenize='{TOKENIZER}')"
"""The same with its text, for the few contexts in which words found are to be pointed at."""
