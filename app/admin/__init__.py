"""Logging in; drafts of studies; progress blind to arms, raters and links, closing, guesses, revealing, ratings.csv."""

from fastapi import APIRouter

from app.admin import drafts, links, login, raters, states, studies

router = APIRouter(include_in_schema=False)
for module in (login, studies, states, raters, links, drafts):
    router.include_router(module.router)

__all__ = ["router"]
