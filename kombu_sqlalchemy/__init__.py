"""Queues in a database through SQLAlchemy: the transport ``sqla+<URL>``, its tables and their migrations."""

from __future__ import annotations

from kombu_sqlalchemy.schema import make_metadata, metadata
from kombu_sqlalchemy.store import SQLAlchemyStore

__all__ = ["SQLAlchemyStore", "make_metadata", "metadata"]
