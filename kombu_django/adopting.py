"""Migrations that take over what is there: ``kombu_sqlalchemy`` makes the same tables, and either may come first.

A router is asked before the database is looked at: where it refuses, there may be no tables to look at. On the way back
Django's own operations ask it.
"""

from __future__ import annotations

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddField, AddIndex, CreateModel, RemoveIndex
from django.db.migrations.state import ProjectState
from django.db.models import Model


class CreateTable(CreateModel):
    """Unless it is there; then those of its indexes that are not."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model: type[Model] = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if model._meta.db_table not in _tables(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            _add_missing_indexes(schema_editor, model)


class AddColumn(AddField):
    """Unless it is there."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model: type[Model] = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        [field] = [each for each in model._meta.concrete_fields if each.name == self.name]
        if field.column not in _columns(schema_editor, model._meta.db_table):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class MakeIndex(AddIndex):
    """Unless it is there."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model: type[Model] = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if self.index.name not in _indexes(schema_editor, model._meta.db_table):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class DropIndex(RemoveIndex):
    """If it is there."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model: type[Model] = from_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if self.name in _indexes(schema_editor, model._meta.db_table):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def _tables(schema_editor: BaseDatabaseSchemaEditor) -> list[str]:
    return schema_editor.connection.introspection.table_names()


def _add_missing_indexes(schema_editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
    """Constraints come with their table. MariaDB can be left between a table and its indexes."""
    there = _indexes(schema_editor, model._meta.db_table)
    for index in model._meta.indexes:
        if index.name not in there:
            schema_editor.add_index(model, index)


def _indexes(schema_editor: BaseDatabaseSchemaEditor, table: str) -> set[str]:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, table))


def _columns(schema_editor: BaseDatabaseSchemaEditor, table: str) -> list[str]:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        return [each.name for each in connection.introspection.get_table_description(cursor, table)]
