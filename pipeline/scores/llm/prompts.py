"""The prompts, which stand in versioned files beside this one, and what can be read from the answers to them."""

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"
NEWEST = "v1"
Message = dict[str, str]
LONGEST = 400  # characters of an explanation; what is beyond is dropped


@dataclass(frozen=True, slots=True)
class Prompts:
    """`version`: the file's name, and the beginning of its SHA-256."""

    version: str
    texts: dict[str, dict[str, str]]

    @classmethod
    def load(cls, name: str = NEWEST) -> "Prompts":
        raw = (FOLDER / f"{name}.toml").read_bytes()
        return cls(f"{name}-{hashlib.sha256(raw).hexdigest()[:8]}", tomllib.loads(raw.decode()))

    def messages(self, task: str, examples: Sequence[str], explanation: str = "") -> list[Message]:
        """What is sent: braces in the text of examples are left as they are."""
        listed = "\n".join(f"{number}. {example}" for number, example in enumerate(examples, 1))
        filled = {"{examples}": listed, "{count}": str(len(examples)), "{explanation}": explanation}
        pattern = re.compile("|".join(map(re.escape, filled)))
        return [
            {"role": role, "content": pattern.sub(lambda found: filled[found[0]], self.texts[task][role]).strip()}
            for role in ("system", "user")
        ]


def read_explanation(answer: str) -> str:
    """The first line that says something, without marks around it; "" where there is none."""
    lines = (line.strip().strip("\"'*#`").strip() for line in answer.splitlines())
    return next((line for line in lines if line), "")[:LONGEST]


def read_digits(answer: str, count: int) -> list[int] | None:
    """`count` zeros and ones; None where the answer has another number of them, or says other numbers."""
    listed = re.search(r"\[([^\]]*)\]", answer)
    found = re.findall(r"\d+", listed[1] if listed else answer)
    return [int(digit) for digit in found] if len(found) == count and set(found) <= {"0", "1"} else None


def read_choice(answer: str, count: int) -> int | None:
    """A number from 1 to `count`; None where the answer has none, or more than one."""
    found = set(re.findall(r"\d+", answer))
    return int(found.pop()) if len(found) == 1 and found <= {str(n) for n in range(1, count + 1)} else None
