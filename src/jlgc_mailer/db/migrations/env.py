"""Alembic's entry: runs the migrations on the connection that `migrate` hands over."""

from alembic import context

import jlgc_mailer.db.feedback
import jlgc_mailer.db.sending  # noqa: F401  (tables register themselves on import)
from jlgc_mailer.db.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
