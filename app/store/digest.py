"""What a feature store's content hashes to: the rows of the feature, hit and context tables, as they are stored.

Search indexes and everything else that follows from these rows are no part of it; nor is when and where they were made.
"""

import hashlib
import sqlite3

from app.store import feature_schema as t

TABLES = (t.feature, t.hit, t.context)


def rows_digest(connection: sqlite3.Connection) -> str:
    """SHA-256, hex, of every row in order of its key, as Python's `ascii` writes it: the same text in every version."""
    sha = hashlib.sha256()
    for table in TABLES:
        sha.update(f"{table.name}\n".encode())
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        order = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        for row in connection.execute(f'SELECT {columns} FROM "{table.name}" ORDER BY {order}'):
            sha.update(f"{row!a}\n".encode("ascii"))
    return sha.hexdigest()
