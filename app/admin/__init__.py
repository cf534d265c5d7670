"""Logging in, and running a study: progress blind to arms, raters and their invites, closing, revealing, ratings.csv."""

from fastapi import APIRouter

from app.admin import login, raters, studies

router = APIRouter(include_in_schema=False)
for module in (login, studies, raters):
    router.include_router(module.router)

__all__ = ["router"]
