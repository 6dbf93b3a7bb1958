"""The index by which messages are claimed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement


class TurnIndex(models.Index):
    """On PostgreSQL its last part is an expression, the id plus nothing: see :class:`kombu.sql.Dialect`."""

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        if schema_editor.connection.vendor != "postgresql":
            return super().create_sql(model, schema_editor, using, **kwargs)
        *before, last = self.fields
        index = models.Index(*before, models.F(last) + 0, name=self.name)
        return index.create_sql(model, schema_editor, using, **kwargs)
