"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

when = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("instructions", sa.Text, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("protocol_hash", sa.String, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("key_salt", sa.String, nullable=False),
        sa.Column("key_commitment", sa.String, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("closed_at", when),
        sa.Column("revealed_at", when),
        sa.CheckConstraint("state IN ('open', 'closed', 'revealed')", name=op.f("ck_study_state")),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("name", name="uq_study_name"),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String, nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("pages", sa.JSON, nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_item_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_item"),
        sa.UniqueConstraint("public_id", name="uq_item_public_id"),
    )
    op.create_index("ix_item_study_id", "item", ["study_id"])
    op.create_table(
        "item_key",
        sa.Column("item_id", sa.Integer, nullable=False),
        sa.Column("page", sa.String, nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("dictionary", sa.String),
        sa.Column("feature", sa.Integer),
        sa.Column("stratum", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_item_key_item_id"),
        sa.PrimaryKeyConstraint("item_id", "page", name="pk_item_key"),
    )
    op.create_table(
        "rater",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("pseudonym", sa.String, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("started_at", when),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_rater_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rater"),
        sa.UniqueConstraint("pseudonym", name="uq_rater_pseudonym"),
    )
    op.create_index("ix_rater_study_id", "rater", ["study_id"])
    op.create_table(
        "invite",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("rater_id", sa.Integer, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("expires_at", when, nullable=False),
        sa.Column("revoked_at", when),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name="fk_invite_rater_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invite"),
        sa.UniqueConstraint("token_hash", name="uq_invite_token_hash"),
    )
    op.create_index("ix_invite_rater_id", "invite", ["rater_id"])
    op.create_table(
        "login_link",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("expires_at", when, nullable=False),
        sa.Column("used_at", when),
        sa.PrimaryKeyConstraint("id", name="pk_login_link"),
        sa.UniqueConstraint("token_hash", name="uq_login_link_token_hash"),
    )
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("role", sa.String),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("was_staff", sa.Boolean, nullable=False),
        sa.Column("rater_id", sa.Integer),
        sa.Column("expires_at", when, nullable=False),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name="fk_session_rater_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_session"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("rater_id", sa.Integer, nullable=False),
        sa.Column("item_id", sa.Integer, nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False, server_default="0"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("flip", sa.Boolean, nullable=False),
        sa.Column("public_id", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reopened", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("claimed_at", when, nullable=False),
        sa.Column("lease_until", when, nullable=False),
        sa.Column("served_at", when, nullable=False),
        sa.CheckConstraint("state IN ('leased', 'accepted', 'surplus')", name=op.f("ck_assignment_state")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="fk_assignment_item_id"),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name="fk_assignment_rater_id"),
        sa.PrimaryKeyConstraint("id", name="pk_assignment"),
        sa.UniqueConstraint("public_id", name="uq_assignment_public_id"),
        sa.UniqueConstraint("rater_id", "item_id", "repeat", name="uq_assignment_rater_id_item_id_repeat"),
        sa.UniqueConstraint("rater_id", "position", name="uq_assignment_rater_id_position"),
    )
    op.create_index("ix_assignment_item_id_state", "assignment", ["item_id", "state"])
    op.create_table(
        "rating",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("assignment_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("server_ms", sa.Integer, nullable=False),
        sa.Column("visible_ms", sa.Integer),
        sa.Column("staff", sa.Boolean, nullable=False),
        sa.Column("at", when, nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_rating_assignment_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rating"),
        sa.UniqueConstraint("assignment_id", "revision", name="uq_rating_assignment_id_revision"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", when, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("study_id", sa.Integer),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_audit_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
