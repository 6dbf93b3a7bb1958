"""The shared queue tables for SQLAlchemy: their schema, for now."""

from __future__ import annotations

from kombu_sqlalchemy.schema import metadata

__all__ = ["metadata"]
