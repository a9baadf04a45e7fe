"""The store: typed tables, sessions and migrations, alike on SQLite and PostgreSQL."""
