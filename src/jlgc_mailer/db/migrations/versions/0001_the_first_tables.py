"""The first tables."""

import sqlalchemy as sa
from alembic import op

import jlgc_mailer.db.base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table("issues",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("slug", sa.String(length=80), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_issues")),
    sa.UniqueConstraint("slug", name=op.f("uq_issues_slug"))
    )
    op.create_table("mailing_lists",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("name", sa.String(length=63), nullable=False),
    sa.Column("title_en", sa.String(length=255), nullable=False),
    sa.Column("title_ja", sa.String(length=255), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_mailing_lists")),
    sa.UniqueConstraint("name", name=op.f("uq_mailing_lists_name"))
    )
    op.create_table("media",
    sa.Column("digest", sa.String(length=64), nullable=False),
    sa.Column("content_type", sa.String(length=80), nullable=False),
    sa.Column("width", sa.Integer(), nullable=False),
    sa.Column("height", sa.Integer(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("digest", name=op.f("pk_media"))
    )
    op.create_table("subscribers",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("address", sa.String(length=320), nullable=False),
    sa.Column("address_key", sa.String(length=320), nullable=False),
    sa.Column("name", sa.String(length=255), nullable=False),
    sa.Column("language", sa.Enum("en", "ja", name="language", native_enum=False, length=40), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_subscribers")),
    sa.UniqueConstraint("address_key", name=op.f("uq_subscribers_address_key"))
    )
    op.create_table("suppressions",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("address_key", sa.String(length=320), nullable=False),
    sa.Column("reason", sa.Enum("unknown user", "complaint", "manual", name="suppressionreason", native_enum=False, length=40), nullable=False),
    sa.Column("source", sa.String(length=255), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("released_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions"))
    )
    with op.batch_alter_table("suppressions", schema=None) as batch_op:
        batch_op.create_index("uq_suppressions_in_force", ["address_key"], unique=True, sqlite_where=sa.text("released_at IS NULL"), postgresql_where=sa.text("released_at IS NULL"))

    op.create_table("consent_records",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("subscriber_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("list_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("action", sa.Enum("given", "withdrawn", name="consentaction", native_enum=False, length=40), nullable=False),
    sa.Column("at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("how", sa.String(length=255), nullable=False),
    sa.Column("wording", sa.Text(), nullable=False),
    sa.Column("language", sa.Enum("en", "ja", name="language", native_enum=False, length=40), nullable=False),
    sa.ForeignKeyConstraint(["list_id"], ["mailing_lists.id"], name=op.f("fk_consent_records_list_id")),
    sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("fk_consent_records_subscriber_id"), ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_records"))
    )
    with op.batch_alter_table("consent_records", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_records_subscriber_id"), ["subscriber_id"], unique=False)

    op.create_table("editions",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("issue_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("language", sa.Enum("en", "ja", name="language", native_enum=False, length=40), nullable=False),
    sa.Column("content", sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name=op.f("fk_editions_issue_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_editions")),
    sa.UniqueConstraint("issue_id", "language", name=op.f("uq_editions_issue_id_language"))
    )
    op.create_table("revisions",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("issue_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("digest", sa.String(length=64), nullable=False),
    sa.Column("content", sa.JSON(), nullable=False),
    sa.Column("frozen_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(["issue_id"], ["issues.id"], name=op.f("fk_revisions_issue_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_revisions")),
    sa.UniqueConstraint("issue_id", "digest", name=op.f("uq_revisions_issue_id_digest")),
    sa.UniqueConstraint("issue_id", "number", name=op.f("uq_revisions_issue_id_number"))
    )
    op.create_table("subscriptions",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("subscriber_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("list_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("status", sa.Enum("pending", "confirmed", "unsubscribed", name="subscriptionstatus", native_enum=False, length=40), nullable=False),
    sa.Column("changed_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(["list_id"], ["mailing_lists.id"], name=op.f("fk_subscriptions_list_id")),
    sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("fk_subscriptions_subscriber_id"), ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    sa.UniqueConstraint("subscriber_id", "list_id", name=op.f("uq_subscriptions_subscriber_id_list_id"))
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index("ix_subscriptions_list_id_status", ["list_id", "status"], unique=False)

    op.create_table("compiled_artefacts",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("revision_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("language", sa.Enum("en", "ja", name="language", native_enum=False, length=40), nullable=False),
    sa.Column("recipe", sa.String(length=64), nullable=False),
    sa.Column("sender", sa.String(length=255), nullable=False),
    sa.Column("subject", sa.Text(), nullable=False),
    sa.Column("html", sa.Text(), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("slots", sa.JSON(), nullable=False),
    sa.Column("compiled_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name=op.f("fk_compiled_artefacts_revision_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_compiled_artefacts")),
    sa.UniqueConstraint("revision_id", "language", "recipe", name=op.f("uq_compiled_artefacts_revision_id_language_recipe"))
    )
    op.create_table("sends",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("revision_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("recipe", sa.String(length=64), nullable=False),
    sa.Column("status", sa.Enum("scheduled", "sending", "paused", "finished", "cancelled", name="sendstatus", native_enum=False, length=40), nullable=False),
    sa.Column("due_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("zone", sa.String(length=64), nullable=False),
    sa.Column("on_uncertain", sa.Enum("hold", "resend", name="uncertainpolicy", native_enum=False, length=40), nullable=False),
    sa.Column("batch_size", sa.Integer(), nullable=False),
    sa.Column("created_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("planned_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column("finished_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name=op.f("fk_sends_revision_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_sends"))
    )
    with op.batch_alter_table("sends", schema=None) as batch_op:
        batch_op.create_index("ix_sends_status_due_at", ["status", "due_at"], unique=False)

    op.create_table("batches",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("send_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("first_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("last_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("status", sa.Enum("ready", "claimed", "done", name="batchstatus", native_enum=False, length=40), nullable=False),
    sa.Column("due_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("nudged_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column("claim", sa.BigInteger(), nullable=True),
    sa.Column("lease_until", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column("hold", sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_batches_send_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    sa.UniqueConstraint("send_id", "number", name=op.f("uq_batches_send_id_number"))
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index("ix_batches_status_due_at", ["status", "due_at"], unique=False)

    op.create_table("deliveries",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("send_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("subscriber_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    sa.Column("list_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("compiled_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("address", sa.String(length=320), nullable=False),
    sa.Column("status", sa.Enum("pending", "sending", "deferred", "accepted", "refused", "uncertain", "skipped", name="deliverystatus", native_enum=False, length=40), nullable=False),
    sa.Column("reason", sa.String(length=40), nullable=True),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("first_attempt_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column("next_attempt_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(["compiled_id"], ["compiled_artefacts.id"], name=op.f("fk_deliveries_compiled_id")),
    sa.ForeignKeyConstraint(["list_id"], ["mailing_lists.id"], name=op.f("fk_deliveries_list_id")),
    sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_deliveries_send_id")),
    sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("fk_deliveries_subscriber_id"), ondelete="SET NULL"),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    sa.UniqueConstraint("send_id", "subscriber_id", name=op.f("uq_deliveries_send_id_subscriber_id"))
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_subscriber_id"), ["subscriber_id"], unique=False)

    op.create_table("send_lists",
    sa.Column("send_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("list_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.ForeignKeyConstraint(["list_id"], ["mailing_lists.id"], name=op.f("fk_send_lists_list_id")),
    sa.ForeignKeyConstraint(["send_id"], ["sends.id"], name=op.f("fk_send_lists_send_id")),
    sa.PrimaryKeyConstraint("send_id", "list_id", name=op.f("pk_send_lists"))
    )
    op.create_table("attempts",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("outcome", sa.Enum("pending", "sending", "deferred", "accepted", "refused", "uncertain", "skipped", name="deliverystatus", native_enum=False, length=40), nullable=False),
    sa.Column("stage", sa.Enum("build", "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", name="stage", native_enum=False, length=40), nullable=False),
    sa.Column("code", sa.Integer(), nullable=True),
    sa.Column("status", sa.String(length=12), nullable=True),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("transport", sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts"))
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempts_delivery_id"), ["delivery_id"], unique=False)

    op.create_table("feedback_events",
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
    sa.Column("received_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column("source", sa.String(length=255), nullable=False),
    sa.Column("kind", sa.Enum("refusal", "complaint", name="feedbackkind", native_enum=False, length=40), nullable=False),
    sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    sa.Column("address_key", sa.String(length=320), nullable=False),
    sa.Column("reply_class", sa.Enum("accepted", "unknown user", "unknown host", "mailbox full", "greylisted", "refused by policy", "content refused", "address not supported", "network trouble", "gave up after retries", "other reason", name="replyclass", native_enum=False, length=40), nullable=False),
    sa.Column("diagnosis", sa.Text(), nullable=False),
    sa.Column("judged_at", jlgc_mailer.db.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column("verdict", sa.Enum("suppress", "note", name="verdict", native_enum=False, length=40), nullable=True),
    sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_feedback_events_delivery_id")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_events"))
    )
    with op.batch_alter_table("feedback_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_events_delivery_id"), ["delivery_id"], unique=False)
        batch_op.create_index("ix_feedback_events_unjudged", ["id"], unique=False, sqlite_where=sa.text("judged_at IS NULL"), postgresql_where=sa.text("judged_at IS NULL"))



def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("feedback_events", schema=None) as batch_op:
        batch_op.drop_index("ix_feedback_events_unjudged", sqlite_where=sa.text("judged_at IS NULL"), postgresql_where=sa.text("judged_at IS NULL"))
        batch_op.drop_index(batch_op.f("ix_feedback_events_delivery_id"))

    op.drop_table("feedback_events")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_delivery_id"))
        batch_op.drop_index(batch_op.f("ix_attempts_at"))

    op.drop_table("attempts")
    op.drop_table("send_lists")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deliveries_subscriber_id"))

    op.drop_table("deliveries")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_index("ix_batches_status_due_at")

    op.drop_table("batches")
    with op.batch_alter_table("sends", schema=None) as batch_op:
        batch_op.drop_index("ix_sends_status_due_at")

    op.drop_table("sends")
    op.drop_table("compiled_artefacts")
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_index("ix_subscriptions_list_id_status")

    op.drop_table("subscriptions")
    op.drop_table("revisions")
    op.drop_table("editions")
    with op.batch_alter_table("consent_records", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consent_records_subscriber_id"))

    op.drop_table("consent_records")
    with op.batch_alter_table("suppressions", schema=None) as batch_op:
        batch_op.drop_index("uq_suppressions_in_force", sqlite_where=sa.text("released_at IS NULL"), postgresql_where=sa.text("released_at IS NULL"))

    op.drop_table("suppressions")
    op.drop_table("subscribers")
    op.drop_table("media")
    op.drop_table("mailing_lists")
    op.drop_table("issues")
