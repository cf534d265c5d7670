"""The static files as they are served: each by its path, and style sheets or scripts joined, so that a page waits for one answer.

Those whose address has a digest are for good, and answered from memory.
"""

import mimetypes
import re
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.render import joined_files, static_directory

JOINED = re.compile(r"(css|js)/([a-z-]+(?:\+[a-z-]+){0,7})\.\1")
KINDS = {"css": "text/css", "js": "text/javascript"}


class Assets(StaticFiles):
    """`css/tokens+base.css` are tokens.css and base.css, in that order; app.render.styles makes such an address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        found = JOINED.fullmatch(path)
        if scope["method"] not in {"GET", "HEAD"}:
            return await super().get_response(path, scope)
        if found is not None:
            try:
                return Response(joined_files(found[1], found[2]), media_type=KINDS[found[1]])
            except FileNotFoundError as error:
                raise HTTPException(404) from error
        if b"v=" in scope["query_string"] and path in known_files():
            return Response(file_bytes(path), media_type=mimetypes.guess_type(path)[0])
        return await super().get_response(path, scope)


@lru_cache
def known_files() -> frozenset[str]:
    root = static_directory()
    return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@lru_cache
def file_bytes(path: str) -> bytes:
    return (static_directory() / path).read_bytes()
