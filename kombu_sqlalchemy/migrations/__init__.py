"""The Alembic revisions of the tables, each of which adds what is missing and leaves alone what is there."""
