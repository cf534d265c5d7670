"""What somebody typed to search for, as a query that SQLite's FTS5 can't misread.

    some words        contexts that have all of them, in any order
    "some words"      one after the other
    word*             words that begin so
    -word, -"words"   and not these

Everything else is text: each term reaches FTS5 in quotes, so that its operators, column names and brackets are words too.
"""

import re
import unicodedata

LONGEST = 200  # characters; what follows is not looked at
TERMS = 16
TERM = re.compile(r'(?<!\S)(-?)(?:"([^"]*)"?(\*?)|(\S+))')
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode categories Cc and Cs
WORD = ("L", "N", "Co")  # Unicode categories that the tokenizer takes for parts of words


def match_query(text: str) -> str:
    """For FTS5's MATCH; empty where there is no word to search for."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, star, word in TERM.findall(plain(text[:LONGEST]))[:TERMS]:
        term = phrase or word.rstrip("*")
        if any(unicodedata.category(char).startswith(WORD) for char in term):
            quoted = '"' + term.replace('"', '""') + '"'
            (unwanted if minus else wanted).append(quoted + (" *" if star or word.endswith("*") else ""))
    return " NOT ".join([" AND ".join(wanted), *unwanted]) if wanted else ""


def token_key(token: str) -> str:
    """What a token is looked up by: without spaces around it, without regard to case."""
    return plain(token).strip().casefold()


def plain(text: str) -> str:
    """As many characters: a space for each control character and each lone surrogate."""
    return CONTROL.sub(" ", text)
