"""Rating: the invite, the instructions, the screens. Blind: what is shown comes from the study store alone."""

from app.rate.join import router as join
from app.rate.routes import router

router.include_router(join)

__all__ = ["router"]
