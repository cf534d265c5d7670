"""The two stores: `features` (immutable SQLite, made by the pipeline) and `study` (append-only, SQLite or PostgreSQL)."""
