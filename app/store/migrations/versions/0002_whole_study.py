"""The whole study: purposes of items, consent and practice, links, a chain of ratings, drafts.

Ratings that are there already are linked in the order in which they came.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from app.store.study_schema import Utc
from app.study import chain

revision = "0002"
down_revision = "0001"

when = sa.DateTime(timezone=True)
STATES = {
    "study": ("state", "state IN ('open', 'paused', 'closed', 'guessing', 'revealed')"),
    "assignment": ("state", "state IN ('leased', 'accepted', 'surplus', 'withdrawn')"),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":  # there, a table that is rebuilt leaves its checks behind
        for table, (name, _) in STATES.items():
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    _links()
    with op.batch_alter_table("study") as study:
        study.add_column(sa.Column("guessing_at", when))
        study.create_check_constraint(op.f("ck_study_state"), STATES["study"][1])
    with op.batch_alter_table("item") as item:
        item.add_column(sa.Column("purpose", sa.String, nullable=False, server_default="main"))
        item.add_column(sa.Column("expected", sa.JSON))
        item.add_column(sa.Column("content_hash", sa.String))
        item.add_column(sa.Column("accepted", sa.Integer, nullable=False, server_default="0"))
        item.create_check_constraint(op.f("ck_item_purpose"), "purpose IN ('main', 'catch', 'practice', 'guess')")
        item.create_index("ix_item_study_id_purpose_accepted", ["study_id", "purpose", "accepted"])
    op.add_column("item_key", sa.Column("seal", sa.String))
    with op.batch_alter_table("rater") as rater:
        rater.add_column(sa.Column("source", sa.String, nullable=False, server_default="invite"))
        rater.add_column(sa.Column("link_id", sa.Integer))
        for name in ("consented", "practised", "finished", "told", "debriefed", "released", "withdrawn"):
            rater.add_column(sa.Column(f"{name}_at", when))
        rater.add_column(sa.Column("practice_tries", sa.Integer, nullable=False, server_default="0"))
        rater.add_column(sa.Column("completion_code", sa.String))
        rater.create_foreign_key("fk_rater_link_id", "link", ["link_id"], ["id"])
        rater.create_index("ix_rater_link_id", ["link_id"])
    with op.batch_alter_table("assignment") as assignment:
        assignment.create_check_constraint(op.f("ck_assignment_state"), STATES["assignment"][1])
        assignment.create_index("ix_assignment_state_lease_until", ["state", "lease_until"])
    _chain()
    op.execute(
        "UPDATE item SET accepted = (SELECT count(*) FROM assignment WHERE assignment.item_id = item.id "
        "AND assignment.state = 'accepted' AND assignment.repeat = 0)"
    )


def _links() -> None:
    op.create_table(
        "link",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("cap", sa.Integer, nullable=False),
        sa.Column("completion_code", sa.String),
        sa.Column("created_at", when, nullable=False),
        sa.Column("expires_at", when, nullable=False),
        sa.Column("revoked_at", when),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_link_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_link"),
        sa.UniqueConstraint("token_hash", name="uq_link_token_hash"),
    )
    op.create_index("ix_link_study_id", "link", ["study_id"])
    op.create_table(
        "platform_id",
        sa.Column("rater_id", sa.Integer, nullable=False),
        sa.Column("link_id", sa.Integer, nullable=False),
        sa.Column("participant", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("session", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name="fk_platform_id_rater_id"),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name="fk_platform_id_link_id"),
        sa.PrimaryKeyConstraint("rater_id", name="pk_platform_id"),
        sa.UniqueConstraint("link_id", "participant", name="uq_platform_id_link_id_participant"),
    )
    op.create_table(
        "draft",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("updated_at", when, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_draft"),
        sa.UniqueConstraint("name", name="uq_draft_name"),
    )


def _chain() -> None:
    with op.batch_alter_table("rating") as rating:
        rating.add_column(sa.Column("study_id", sa.Integer))
        rating.add_column(sa.Column("number", sa.Integer))
        for name in ("counted", "salt", "previous", "content_hash", "hash"):
            rating.add_column(sa.Column(name, sa.String))
        rating.add_column(sa.Column("withdrawn_at", when))
    _link_ratings(op.get_bind())
    with op.batch_alter_table("rating") as rating:
        rating.alter_column("answer", existing_type=sa.JSON(), nullable=True)
        rating.alter_column("server_ms", existing_type=sa.Integer(), nullable=True)
        rating.alter_column("study_id", existing_type=sa.Integer(), nullable=False)
        rating.alter_column("number", existing_type=sa.Integer(), nullable=False)
        for name in ("counted", "previous", "content_hash", "hash"):
            rating.alter_column(name, existing_type=sa.String(), nullable=False)
        rating.create_foreign_key("fk_rating_study_id", "study", ["study_id"], ["id"])
        rating.create_unique_constraint("uq_rating_study_id_number", ["study_id", "number"])


def _link_ratings(connection: sa.Connection) -> None:
    query = sa.text(
        "SELECT rating.id, rating.revision, rating.answer, rating.server_ms, rating.visible_ms, rating.staff, rating.at, "
        "assignment.repeat, assignment.position, assignment.flip, assignment.state, rater.pseudonym, item.public_id, "
        "item.study_id, study.protocol_hash FROM rating JOIN assignment ON assignment.id = rating.assignment_id "
        "JOIN rater ON rater.id = assignment.rater_id JOIN item ON item.id = assignment.item_id "
        "JOIN study ON study.id = item.study_id ORDER BY rating.id"
    ).columns(answer=sa.JSON, at=Utc, flip=sa.Boolean, staff=sa.Boolean)
    heads: dict[int, tuple[int, str]] = {}  # by study: how many links, and the last one's hash
    for row in connection.execute(query).all():
        number, previous = heads.get(row.study_id, (0, row.protocol_hash))
        counted = "surplus" if row.state == "surplus" else "accepted"
        what = chain.content(
            rater=row.pseudonym,
            item=row.public_id,
            repeat=row.repeat,
            position=row.position,
            flip=row.flip,
            revision=row.revision,
            state=counted,
            answer=row.answer,
            server_ms=row.server_ms,
            visible_ms=row.visible_ms,
            staff=row.staff,
            at=row.at,
        )
        salt = secrets.token_urlsafe(32)
        hashed = chain.content_hash(salt, what)
        linked = chain.link(previous, number + 1, hashed)
        heads[row.study_id] = (number + 1, linked)
        values = {"id": row.id, "study": row.study_id, "number": number + 1, "counted": counted, "salt": salt}
        connection.execute(
            sa.text(
                "UPDATE rating SET study_id = :study, number = :number, counted = :counted, salt = :salt, "
                "previous = :previous, content_hash = :hashed, hash = :linked WHERE id = :id"
            ),
            {**values, "previous": previous, "hashed": hashed, "linked": linked},
        )
