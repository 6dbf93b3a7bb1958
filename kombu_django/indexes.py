"""Indexes of the messages that are not the same on all databases."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement


class _VaryingIndex(models.Index):
    """To Django it is one of plain columns, so that it warns nobody of a database where it is just that."""

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        index = self.on(schema_editor.connection)
        if index is None:
            return super().create_sql(model, schema_editor, using, **kwargs)
        return index.create_sql(model, schema_editor, using, **kwargs)

    @abstractmethod
    def on(self, connection: BaseDatabaseWrapper) -> models.Index | None:
        """What it is there; None if just that."""


class TurnIndex(_VaryingIndex):
    """On PostgreSQL its last part is an expression, the id plus nothing: see :class:`kombu.sql.Dialect`."""

    def on(self, connection: BaseDatabaseWrapper) -> models.Index | None:
        if connection.vendor != "postgresql":
            return None
        *before, last = self.fields
        return models.Index(*before, models.F(last) + 0, name=self.name)


class FilledIndex(_VaryingIndex):
    """Of the rows that have something there, where a database has such indexes: MariaDB and MySQL have not."""

    def on(self, connection: BaseDatabaseWrapper) -> models.Index | None:
        if not connection.features.supports_partial_indexes:
            return None
        filled = models.Q(**{f"{field}__isnull": False for field in self.fields})
        return models.Index(fields=self.fields, condition=filled, name=self.name)
