"""Pages for staff: home, dictionaries, features, comparison. They name what they show; raters never get here."""

from fastapi import APIRouter, Depends

from app.browse import compare, dictionaries, features, home, lacking, lists, saved, search, shelf, text
from app.sessions import require_staff

router = APIRouter(dependencies=[Depends(require_staff)], include_in_schema=False)
for page in (home, dictionaries, features, compare, lacking, lists, saved, search, shelf, text):
    router.include_router(page.router)
