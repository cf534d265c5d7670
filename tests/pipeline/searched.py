"""What searches read in a store, row by row: for tests that compare two stores."""

import sqlite3
from pathlib import Path
from typing import Any

TABLES = ("context_feature", "output_token", "context_text_data", "context_text_idx", "context_text_docsize")


def searched(path: Path) -> dict[str, list[Any]]:
    """By table; those of the full-text index as SQLite keeps them."""
    connection = sqlite3.connect(path)
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    connection.close()
    return rows
