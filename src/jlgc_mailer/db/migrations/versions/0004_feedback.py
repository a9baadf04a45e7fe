"""Raw reports, what is read out of them, and how the ways in are doing."""

import sqlalchemy as sa
from alembic import op

import jlgc_mailer.db.base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    moment = jlgc_mailer.db.base.UtcDateTime(timezone=True)
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "raw_reports",
        sa.Column("id", big, autoincrement=True, nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("form", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("envelope_from", sa.Text(), nullable=False),
        sa.Column("envelope_to", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_reports")),
        sa.UniqueConstraint("digest", name=op.f("uq_raw_reports_digest")),
    )
    op.create_index("ix_raw_reports_status_id", "raw_reports", ["status", "id"])
    op.create_table(
        "ways_in",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("tried_at", moment, nullable=True),
        sa.Column("stored_at", moment, nullable=True),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("backlog", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ways_in")),
    )
    op.create_table(
        "webhook_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("report_digest", sa.String(length=64), nullable=False),
        sa.Column("used_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_webhook_tokens")),
    )
    op.create_index("ix_webhook_tokens_used_at", "webhook_tokens", ["used_at"])
    op.create_table(
        "trips",
        sa.Column("send_id", big, nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("bad", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("resumed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_trips_send_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("send_id", "rule", name=op.f("pk_trips")),
    )
    op.create_table(
        "alerts",
        sa.Column("send_id", big, nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("diagnosis", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_alerts_send_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("send_id", "rule", name=op.f("pk_alerts")),
    )
    op.add_column("suppressions", sa.Column("release_reason", sa.String(length=255), nullable=True))
    is_released = sa.text("released_at IS NOT NULL")
    op.create_index(
        "ix_suppressions_released", "suppressions", ["address_key"], sqlite_where=is_released, postgresql_where=is_released
    )
    with op.batch_alter_table("feedback_events") as events:
        events.add_column(sa.Column("report_id", big, nullable=True))
        events.add_column(sa.Column("part", sa.Integer(), nullable=True))
        events.add_column(sa.Column("feedback_class", sa.String(length=40), nullable=False, server_default="unknown"))
        events.add_column(sa.Column("status", sa.String(length=12), nullable=True))
        events.add_column(sa.Column("remote_mta", sa.String(length=255), nullable=True))
        events.add_column(sa.Column("event_id", sa.String(length=255), nullable=True))
        events.add_column(sa.Column("rule", sa.String(length=80), nullable=True))
        events.add_column(sa.Column("confidence", sa.Float(), nullable=False, server_default=sa.text("1")))
        events.add_column(sa.Column("matched_by", sa.String(length=40), nullable=True))
        events.add_column(sa.Column("believed", sa.Boolean(), nullable=False, server_default=sa.true()))
        events.add_column(sa.Column("why", sa.Text(), nullable=True))
        events.create_foreign_key("fk_feedback_events_report_id", "raw_reports", ["report_id"], ["id"])
        events.create_unique_constraint("uq_feedback_events_report_id_part", ["report_id", "part"])
        events.create_unique_constraint("uq_feedback_events_event_id", ["event_id"])
        events.create_index("ix_feedback_events_address_key", ["address_key"])
    _carry_over()


def _carry_over() -> None:
    """What stands in the table as the new version understands it."""
    op.execute("UPDATE feedback_events SET feedback_class = 'complaint', kind = 'report' WHERE kind = 'complaint'")
    op.execute(
        "UPDATE feedback_events SET feedback_class = CASE WHEN reply_class IN ('unknown user', 'unknown host')"
        " THEN 'hard' WHEN reply_class IN ('mailbox full', 'network trouble', 'gave up after retries') THEN 'soft'"
        " WHEN reply_class IN ('refused by policy', 'content refused') THEN 'block' ELSE 'unknown' END"
        " WHERE kind = 'refusal'"
    )
