"""What the delivery engine needs: intents of batches, fair turns, readers' zones, the state of ways out.

Only adds columns and indexes, which SQLite does without writing tables anew.
"""

import sqlalchemy as sa
from alembic import op

import jlgc_mailer.db.base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    moment = jlgc_mailer.db.base.UtcDateTime(timezone=True)
    op.create_table(
        "transport_states",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("paused_until", moment, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_transport_states")),
    )
    op.add_column("batches", sa.Column("on_wire", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("held_until", moment, nullable=True))
    op.add_column("deliveries", sa.Column("name", sa.String(length=255), nullable=False, server_default=sa.text("''")))
    op.add_column("sends", sa.Column("priority", sa.String(length=40), nullable=False, server_default="normal"))
    op.add_column("sends", sa.Column("local_at", moment, nullable=True))
    op.add_column("sends", sa.Column("key_id", sa.Integer(), nullable=True))
    op.add_column("sends", sa.Column("served_at", moment, nullable=True))
    op.add_column("subscribers", sa.Column("zone", sa.String(length=64), nullable=True))
    _carry_over()
    op.drop_index("ix_attempts_delivery_id", "attempts")
    op.create_index("ix_attempts_delivery_id_number", "attempts", ["delivery_id", "number"], unique=True)


def _carry_over() -> None:
    """What stands in the tables as the new version understands it."""
    op.execute(
        "UPDATE deliveries SET name = coalesce("
        "(SELECT name FROM subscribers WHERE subscribers.id = deliveries.subscriber_id), '')"
    )
    op.execute("UPDATE deliveries SET status = 'uncertain' WHERE status = 'sending'")
    op.execute("DELETE FROM attempts WHERE id NOT IN (SELECT max(id) FROM attempts GROUP BY delivery_id, number)")
