"""Ask a language model behind an OpenAI-compatible endpoint: several at a time, again where it fails, up to a number of tokens.

What was answered before comes from the cache. A request reserves the most it can take before it is sent, so that the cap
holds however many are under way.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from app.errors import UserError
from pipeline.scores.llm.cache import Cache, Reply
from pipeline.scores.llm.prompts import Message

ATTEMPTS = 6
LONGEST_WAIT = 60.0  # seconds
CHARACTERS = 3  # of a token, at least, nearly always: what a request is reckoned to take before it is sent
OVERHEAD = 32  # tokens of a chat's own marks
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class CapReached(Exception):
    """The next request could take more tokens than are left."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` ends where `/chat/completions` begins; `key` is sent, and never kept."""

    url: str
    model: str
    key: str | None = None
    timeout: float = 120.0  # seconds
    concurrency: int = 4
    first_wait: float = 0.5  # seconds, about, before the second attempt; twice as long before each further one


@dataclass(slots=True)
class Spent:
    """Tokens paid for in this run, and requests sent; answers that came from the cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    cached: int = 0
    reserved: int = 0  # by requests under way

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Client:
    """An asynchronous context: connections are kept open within. `cap`: tokens in all."""

    def __init__(self, endpoint: Endpoint, cache: Cache, cap: int) -> None:
        self.endpoint, self.cache, self.cap = endpoint, cache, cap
        self.spent = Spent()
        self._room = asyncio.Semaphore(endpoint.concurrency)
        headers = {} if endpoint.key is None else {"Authorization": f"Bearer {endpoint.key}"}
        limits = httpx.Limits(max_connections=endpoint.concurrency)
        self._http = httpx.AsyncClient(headers=headers, timeout=endpoint.timeout, limits=limits)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(self, messages: Sequence[Message], longest: int) -> Reply:
        """The answer, of at most `longest` tokens.

        Raises CapReached before more tokens are used than may be, UserError where the endpoint refuses or can't be reached.
        """
        request = {
            "model": self.endpoint.model,
            "messages": list(messages),
            "max_tokens": longest,
            "temperature": 0,
        }
        key = Cache.key(self.endpoint.url, request)
        known = self.cache.get(key)
        if known is not None:
            self.spent.cached += 1
            return known
        async with self._room:
            most = sum(len(one["content"]) for one in messages) // CHARACTERS + OVERHEAD + longest
            if self.spent.tokens + self.spent.reserved + most > self.cap:
                raise CapReached
            self.spent.reserved += most
            try:
                reply = await self._send(request)
            finally:
                self.spent.reserved -= most
        self.spent.prompt_tokens += reply.prompt_tokens
        self.spent.completion_tokens += reply.completion_tokens
        self.cache.put(key, reply)
        return reply

    async def _send(self, request: dict[str, Any]) -> Reply:
        address, reason = f"{self.endpoint.url.rstrip('/')}/chat/completions", ""
        for attempt in range(ATTEMPTS):
            wait = min(self.endpoint.first_wait * 2**attempt, LONGEST_WAIT) * (0.5 + random.random())
            try:
                self.spent.requests += 1
                answer = await self._http.post(address, json=request)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if answer.status_code not in AGAIN:
                    return self._read(answer, request)
                reason = f"status {answer.status_code}"
                wait = _asked_for(answer) or wait
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(wait)
        raise UserError(
            f"{address} gave no answer in {ATTEMPTS} attempts ({reason}); see that the server runs there, then run again: "
            "what was answered is kept."
        )

    def _read(self, answer: httpx.Response, request: dict[str, Any]) -> Reply:
        where = self.endpoint.url
        if answer.status_code in (401, 403):
            raise UserError(f"{where} refuses the key (status {answer.status_code}); set DARTBOARD_LLM_KEY.")
        if answer.status_code == 404:
            raise UserError(
                f"{where} knows no {self.endpoint.model!r}, or is no OpenAI-compatible address (status 404); see --url, --model."
            )
        if answer.is_error:
            raise UserError(f"{where} refuses the request (status {answer.status_code}): {answer.text[:200]!r}")
        try:
            body = answer.json()
            text = body["choices"][0]["message"]["content"] or ""
            usage = body.get("usage") or {}
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(
                f"{where} does not answer as an OpenAI-compatible server does: {answer.text[:200]!r}"
            ) from error
        asked = sum(len(one["content"]) for one in request["messages"])
        return Reply(
            str(text),
            int(usage.get("prompt_tokens") or asked // CHARACTERS),
            int(usage.get("completion_tokens") or len(str(text)) // CHARACTERS),
        )


def _asked_for(answer: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, at most LONGEST_WAIT; None where it says nothing that can be read."""
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.0), LONGEST_WAIT)
    except (KeyError, ValueError):
        return None
