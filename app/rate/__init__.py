"""Rating: the invite, the instructions, the screens. Blind: what is shown comes from the study store alone."""

from app.rate.routes import router

__all__ = ["router"]
