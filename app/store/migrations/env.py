"""Alembic's entry point. The app hands over its open connection; `alembic` on the command line opens one itself.

A developer makes a new migration with

    alembic -x url=sqlite:///scratch.sqlite revision --autogenerate -m "what changes"

after `alembic -x url=… upgrade head` (script location: app/store/migrations).
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from app.store.engine import VERSION_TABLE
from app.store.study_schema import metadata


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        render_as_batch=True,
        transactional_ddl=False,  # the caller's transaction covers everything
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        migrate(opened)
