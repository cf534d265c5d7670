"""Lists of features, stars among them, and notes: what the users of the browse pages keep."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

when = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "feature_list",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.CheckConstraint("kind IN ('stars', 'list')", name=op.f("ck_feature_list_kind")),
        sa.PrimaryKeyConstraint("id", name="pk_feature_list"),
        sa.UniqueConstraint("owner", "name", name="uq_feature_list_owner_name"),
    )
    op.create_table(
        "listed_feature",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("list_id", sa.Integer, nullable=False),
        sa.Column("dictionary", sa.String, nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("weights_hash", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("added_at", when, nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["feature_list.id"], name="fk_listed_feature_list_id"),
        sa.PrimaryKeyConstraint("id", name="pk_listed_feature"),
        sa.UniqueConstraint("list_id", "dictionary", "feature", name="uq_listed_feature_list_id_dictionary_feature"),
    )
    op.create_table(
        "feature_note",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("dictionary", sa.String, nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("weights_hash", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("updated_at", when, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feature_note"),
        sa.UniqueConstraint("owner", "dictionary", "feature", name="uq_feature_note_owner_dictionary_feature"),
    )
