"""What a way in had to refuse, for operators."""

import sqlalchemy as sa
from alembic import op

import jlgc_mailer.db.base

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    moment = jlgc_mailer.db.base.UtcDateTime(timezone=True)
    op.add_column("ways_in", sa.Column("refused_at", moment, nullable=True))
    op.add_column("ways_in", sa.Column("refusal", sa.Text(), nullable=True))
