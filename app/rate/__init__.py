"""Rating: the invite, the instructions, the screens. Blind: what is shown comes from the study store alone."""

from fastapi import APIRouter

from app.rate import join, routes

router = APIRouter()
for module in (routes, join):
    router.include_router(module.router)

__all__ = ["router"]
