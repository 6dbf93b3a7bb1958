"""The tables come with an application's own Alembic migrations, in both of the ways that the documentation shows."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, inspect

from kombu import Connection, Queue
from kombu.exceptions import NotSupported
from kombu_sqlalchemy import metadata, migrating
from kombu_sqlalchemy.state import look

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ENVIRONMENT = """
    from alembic import context
    from sqlalchemy import MetaData, create_engine
    from sqlalchemy.pool import NullPool

    from kombu_sqlalchemy.migrating import leave_out

    url = context.config.get_main_option("sqlalchemy.url")
    options = {"target_metadata": MetaData(), "include_name": leave_out("q_"), "kombu_prefix": "q_"}
    if context.is_offline_mode():
        context.configure(url=url, **options)
        with context.begin_transaction():
            context.run_migrations()
    else:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            context.configure(connection=connection, **options)
            with context.begin_transaction():
                context.run_migrations()
    """
SHOP = """
    import sqlalchemy as sa
    from alembic import op

    revision, down_revision = "shop_1", None
    branch_labels = ("shop",)

    def upgrade():
        op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True))

    def downgrade():
        op.drop_table("orders")
    """
QUEUES = """
    import sqlalchemy as sa
    from alembic import op
    from kombu_sqlalchemy.migrating import upgrade as upgrade_queues

    revision, down_revision = "shop_2", "shop_1"

    def upgrade():
        upgrade_queues(op.get_bind(), prefix="q_")
        op.create_table("invoices", sa.Column("id", sa.Integer, primary_key=True))

    def downgrade():
        pass
    """
ON_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.server("postgresql"))
OURS = {name.replace("kombu_", "q_") for name in metadata.tables}


@pytest.fixture
def application(doors: Doors, tmp_path: Path) -> Config:
    """With Alembic's files, and a first revision."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(dedent(ENVIRONMENT))
    (tmp_path / "versions" / "shop_1.py").write_text(dedent(SHOP))
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "space")
    config.set_main_option("sqlalchemy.url", doors.url.replace("%", "%%"))
    return config


def include_revisions(config: Config, tmp_path: Path) -> None:
    config.set_main_option("version_locations", f"{tmp_path / 'versions'} kombu_sqlalchemy:migrations/versions")


def tables(doors: Doors) -> set[str]:
    return set(inspect(doors.engine).get_table_names())


def works(doors: Doors) -> bool:
    options = {"table_prefix": "q_", "create_tables": False}
    with Connection(doors.sqla, transport_options=options) as connection:
        Queue("orders")(connection).declare()
    found: bool = doors.look(lambda each: look(each, migrating.scripts(), "q_")).is_current
    return found


def test_kombus_revisions_are_a_branch_beside_the_applications(
    doors: Doors, application: Config, tmp_path: Path
) -> None:
    include_revisions(application, tmp_path)
    command.upgrade(application, "shop@head")
    assert tables(doors) == {"alembic_version", "orders"}
    command.upgrade(application, "kombu@kombu_0001")
    command.upgrade(application, "heads")
    assert tables(doors) == {"alembic_version", "orders"} | OURS
    assert works(doors)
    rows = doors.look(lambda c: c.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall())
    assert sorted(row[0] for row in rows) == ["kombu_0004", "shop_1"]
    command.downgrade(application, "kombu@base")
    assert tables(doors) == {"alembic_version", "orders"}


def test_they_adopt_what_the_command_has_made(doors: Doors, application: Config, tmp_path: Path) -> None:
    with doors.engine.begin() as connection:
        migrating.upgrade(connection, "q_")
    include_revisions(application, tmp_path)
    command.upgrade(application, "heads")
    assert works(doors)
    with doors.engine.begin() as connection:
        assert migrating.upgrade(connection, "q_").is_current


def test_they_are_written_down_with_the_applications(
    doors: Doors, application: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    include_revisions(application, tmp_path)
    command.upgrade(application, "heads", sql=True)
    written = capsys.readouterr().out
    assert "CREATE TABLE orders" in written
    assert written.count("CREATE TABLE IF NOT EXISTS q_") == len(OURS)
    assert tables(doors) == set()


def test_a_revision_of_the_applications_brings_the_queues_with_it(
    doors: Doors, application: Config, tmp_path: Path
) -> None:
    (tmp_path / "versions" / "shop_2.py").write_text(dedent(QUEUES))
    command.upgrade(application, "head")
    assert tables(doors) == {"alembic_version", "orders", "invoices", "q_alembic"} | OURS
    assert works(doors)
    rows = doors.look(lambda c: c.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall())
    assert rows == [("shop_2",)]


@pytest.mark.parametrize("doors", [ON_POSTGRESQL], indirect=True)
def test_such_a_revision_that_fails_takes_the_queues_back(doors: Doors, application: Config, tmp_path: Path) -> None:
    """On the others a table is committed at once, or Alembic does so."""
    broken = dedent(QUEUES).replace("op.create_table", "raise ValueError(7); op.create_table")
    (tmp_path / "versions" / "shop_2.py").write_text(broken)
    with pytest.raises(ValueError, match="7"):
        command.upgrade(application, "head")
    assert tables(doors) == set()


def test_it_cannot_be_written_down_and_says_what_can(application: Config, tmp_path: Path) -> None:
    (tmp_path / "versions" / "shop_2.py").write_text(dedent(QUEUES))
    with pytest.raises(NotSupported, match="version_locations"):
        command.upgrade(application, "head", sql=True)


def test_autogenerate_says_nothing_of_kombus_tables(doors: Doors) -> None:
    with doors.engine.begin() as connection:
        migrating.upgrade(connection, "q_")
    doors.run("CREATE TABLE q_theirs (id INTEGER PRIMARY KEY)")
    theirs = MetaData()
    Table("orders", theirs, Column("id", Integer, primary_key=True))

    def changes(**options: object) -> set[tuple[str, str]]:
        def compare(connection: object) -> set[tuple[str, str]]:
            context = MigrationContext.configure(connection, opts=options)  # type: ignore[arg-type]
            return {(change[0], change[1].name) for change in compare_metadata(context, theirs) if "table" in change[0]}

        found: set[tuple[str, str]] = doors.look(compare)
        return found

    assert changes(include_name=migrating.leave_out("q_")) == {("add_table", "orders"), ("remove_table", "q_theirs")}
    assert ("remove_table", "q_message") in changes()


def test_the_folder_of_the_revisions_can_be_asked_for() -> None:
    names = [path.name for path in sorted(migrating.migrations_path().glob("0*.py"))]
    assert names == ["0001_initial.py", "0002_users_and_limits.py", "0003_queue_paused.py", "0004_message_indexes.py"]
    django = Path(__file__).parent.parent / "kombu_django" / "migrations"
    assert names == [path.name for path in sorted(django.glob("0*.py"))]
