"""Results of a study, for staff: a page, the charts and tables behind it, and the report as files."""

from app.results.routes import router

__all__ = ["router"]
