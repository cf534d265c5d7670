"""The static files as they are served: each by its path, and style sheets joined, so that a page waits for one answer."""

import re

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.render import joined_styles

JOINED = re.compile(r"css/([a-z-]+(?:\+[a-z-]+){1,7})\.css")


class Assets(StaticFiles):
    """`css/tokens+base.css` are tokens.css and base.css, in that order; app.render.styles makes such an address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        found = JOINED.fullmatch(path)
        if found is None:
            return await super().get_response(path, scope)
        try:
            return Response(joined_styles(found[1]), media_type="text/css")
        except FileNotFoundError as error:
            raise HTTPException(404) from error
