"""A server on this computer that speaks chat completions and goes by the words alone: it needs no model, and knows its rule.

It explains pieces by the word that is marked most often; finds a pattern in a piece that has the word, marks in a piece
that has it marked; and takes the piece whose marked word is the rarest for the intruder.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MARKED = re.compile(r"<<(.*?)>>")


class Answerer(ThreadingHTTPServer):
    """`failures`: statuses to answer with before it answers properly; `mumbles`: nothing that it says can be read."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.failures: list[int] = []
        self.mumbles = False
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answerer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(request)
            self.server.keys.append(self.headers["Authorization"])
            status = self.server.failures.pop(0) if self.server.failures else 200
        text = (
            "Perhaps, who can say?" if self.server.mumbles else answer(*(one["content"] for one in request["messages"]))
        )
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        body = {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}
        sent = json.dumps(body if status == 200 else {"error": "busy"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        pass


def answer(system: str, user: str) -> str:
    pieces = re.findall(r"^\d+\. (.*)$", user, re.MULTILINE)
    marks = [MARKED.findall(piece) for piece in pieces]
    if "in one short sentence" in system:
        return Counter(word for words in marks for word in words).most_common(1)[0][0]
    if "does not belong" in system:
        count = Counter(words[0] for words in marks)
        return f"Piece {1 + min(range(len(marks)), key=lambda place: count[marks[place][0]])}."
    pattern = user.splitlines()[0].removeprefix("The pattern: ")
    fuzzing = "whether the marked tokens" in system
    found = [pattern in (words if fuzzing else piece) for piece, words in zip(pieces, marks, strict=True)]
    return str([int(one) for one in found])


@contextmanager
def answering() -> Iterator[Answerer]:
    with Answerer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
