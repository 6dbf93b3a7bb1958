"""``python -m kombu_sqlalchemy``: tables are made, seen and written down; what goes wrong is said without passwords."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from sqlalchemy import inspect

from kombu import Connection, Queue
from kombu.sql import MARIADB, POSTGRESQL, SQLITE, Dialect
from kombu_sqlalchemy import metadata
from kombu_sqlalchemy.__main__ import main
from kombu_sqlalchemy.engines import make_engine
from tests import servers

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ROOT = Path(__file__).parent.parent
ON_POSTGRESQL = [pytest.param("postgresql", marks=pytest.mark.server("postgresql"))]


class Said(NamedTuple):
    status: int
    out: str
    error: str


class Capture:
    """What the command says."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Said:
        try:
            status = main(arguments)
        except SystemExit as exc:  # argparse has its own way
            status = int(str(exc.code))
        said = self._captured.readouterr()
        return Said(status, said.out, said.err)


@pytest.fixture
def capture(capsys: pytest.CaptureFixture[str]) -> Capture:
    return Capture(capsys)


def test_tables_are_made_and_then_they_are_current(doors: Doors, capture: Capture) -> None:
    before = capture("current", doors.sqla)
    assert (before.status, "none; run upgrade, kombu_0004 is the newest" in before.out) == (1, True)
    made = capture("upgrade", doors.sqla)
    assert (made.status, made.error) == (0, "")
    assert made.out == f"database {doors.url}, tables kombu_*\n  no tables -> kombu_0004\n"
    assert capture("upgrade", doors.sqla).out.endswith("  kombu_0004 as before\n")
    after = capture("current", doors.url)
    assert after.status == 0
    assert "tables:   kombu_0004, the newest\n" in after.out
    assert "Alembic:  kombu_0004 noted in kombu_alembic\n" in after.out
    assert "Django:   nothing noted in django_migrations\n" in after.out
    with Connection(doors.sqla, transport_options={"create_tables": False}) as connection:
        Queue("orders")(connection).declare()


def test_tables_of_djangos_are_adopted(doors: Doors, capture: Capture) -> None:
    doors.migrate()
    before = capture("current", doors.url)
    assert before.status == 0
    assert "Alembic:  nothing noted in kombu_alembic\n  Django:   0004_message_indexes noted" in before.out
    assert capture("upgrade", doors.url).out.endswith("  kombu_0004 as before, adopted\n")
    assert "Alembic:  kombu_0004 noted" in capture("current", doors.url).out


def test_what_older_tables_lack_is_said(doors: Doors, capture: Capture) -> None:
    doors.migrate("0002")
    said = capture("current", doors.url)
    assert said.status == 1
    assert "tables:   kombu_0002; run upgrade, kombu_0004 is the newest." in said.out
    indexes = "kombu_message index kombu_message_turn, kombu_message index kombu_message_expiring"
    assert f" Missing: {indexes}, kombu_queue.paused\n" in said.out
    assert capture("upgrade", doors.url).out.endswith("  kombu_0002 -> kombu_0004\n")


def test_tables_that_were_made_on_first_use_can_be_seen_and_adopted(doors: Doors, capture: Capture) -> None:
    doors.create_all()
    assert "made on first use, perhaps" in capture("current", doors.url).out
    assert capture("upgrade", doors.url).out.endswith("  kombu_0004 as before, adopted\n")
    assert "made on first use" not in capture("current", doors.url).out


def test_what_an_applications_own_migrations_have_noted_is_said(doors: Doors, capture: Capture) -> None:
    doors.create_all()
    doors.run("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    doors.run("INSERT INTO alembic_version VALUES ('kombuX9'), ('shop_7')")
    assert "Alembic:  nothing noted in kombu_alembic\n" in capture("current", doors.url).out
    doors.run("INSERT INTO alembic_version VALUES ('kombu_0004')")
    said = capture("current", doors.url).out
    assert "Alembic:  kombu_0004 noted in alembic_version\n" in said
    assert "made on first use" not in said
    assert capture("upgrade", doors.url).out.endswith("  kombu_0004 as before, adopted\n")
    noted = "Alembic:  kombu_0004 noted in kombu_alembic; kombu_0004 noted in alembic_version\n"
    assert noted in capture("current", doors.url).out


def test_what_is_noted_and_is_not_there_is_said(doors: Doors, capture: Capture) -> None:
    doors.migrate()
    assert capture("upgrade", doors.url).status == 0
    for table in metadata.tables:
        doors.run(f"DROP TABLE {table}")
    said = capture("current", doors.url)
    assert (said.status, "tables:   none; run upgrade" in said.out) == (1, True)
    assert "Alembic:  kombu_0004 noted in kombu_alembic, which is not what is there\n" in said.out
    assert "Django:   0004_message_indexes noted in django_migrations, which is not what is there\n" in said.out
    assert capture("upgrade", doors.url).out.endswith("  no tables -> kombu_0004\n")
    assert "not what is there" not in capture("current", doors.url).out


@pytest.mark.parametrize("doors", ON_POSTGRESQL, indirect=True)
@pytest.mark.parametrize("others", ["alembic_version", "django_migrations"])
def test_what_others_have_noted_need_not_be_readable(others: str, doors: Doors, capture: Capture) -> None:
    """The application's own user keeps it to himself."""
    doors.run(f"CREATE TABLE {others} (version_num VARCHAR(32) NOT NULL)")
    doors.run(f"REVOKE ALL ON {others} FROM CURRENT_USER")
    for command in ("upgrade", "current"):
        said = capture(command, doors.url)
        assert (said.status, said.error) == (0, "")


def test_tables_with_a_prefix_are_others(doors: Doors, capture: Capture) -> None:
    assert capture("upgrade", doors.url, "--prefix", "q_").status == 0
    assert capture("current", doors.url).status == 1
    said = capture("current", doors.url, "--prefix", "q_")
    assert (said.status, "Django" in said.out) == (0, False)
    assert "q_message" in inspect(doors.engine).get_table_names()


@pytest.mark.parametrize("doors", ON_POSTGRESQL, indirect=True)
@pytest.mark.parametrize("prefix", ["user.kombu_", "user.q_", "session_", "select.session_"])
def test_a_schema_or_a_table_may_be_named_by_a_word_of_sql(prefix: str, doors: Doors, capture: Capture) -> None:
    """There is a SESSION_USER, too."""
    schema = prefix.rpartition(".")[0]
    if schema:
        doors.run(f'CREATE SCHEMA "{schema}"')
    try:
        with Connection(doors.sqla, transport_options={"table_prefix": prefix, "create_tables": True}) as connection:
            orders = Queue("orders", expires=60.0)(connection)
            orders.declare()
            connection.Producer().publish(1, "orders")
            assert orders.get(no_ack=True) is not None
        assert capture("current", doors.url, "--prefix", prefix).status == 0
        assert capture("upgrade", doors.url, "--prefix", prefix).out.endswith("  kombu_0004 as before, adopted\n")
        said = capture("current", doors.url, "--prefix", prefix)
        assert (said.status, f"kombu_0004 noted in {prefix}alembic" in said.out) == (0, True)
        for since in ("kombu_0001", "kombu_0003"):
            for statement in capture("sql", doors.url, "--prefix", prefix, "--since", since).out.split(";\n"):
                if statement.strip(";\n") not in ("", "BEGIN", "COMMIT") and "INSERT" not in statement:
                    doors.run(statement)
    finally:
        if schema:
            doors.run(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.mark.parametrize(
    ("dialect", "prefix", "table"),
    [
        (SQLITE, "kombu_", "kombu_user"),
        (POSTGRESQL, "kombu_", "kombu_user"),
        (SQLITE, "main.kombu_", '"main"."kombu_user"'),
        (POSTGRESQL, "session_", '"session_user"'),
        (MARIADB, "select.q_", "`select`.`q_user`"),
    ],
)
def test_statements_quote_what_may_be_a_word_of_sql(dialect: Dialect, prefix: str, table: str) -> None:
    assert dialect.prefixed(prefix).table("user") == table


def test_to_look_changes_nothing(tmp_path: Path, capture: Capture) -> None:
    file = tmp_path / "queues.sqlite3"
    said = capture("current", f"sqlite:///{file}")
    assert (said.status, file.exists()) == (1, False)
    file.touch()
    assert capture("current", f"sqlite:///{file}").status == 1
    assert file.read_bytes() == b""


@pytest.mark.parametrize("url", ["sqlite:///q.sqlite3", "postgresql://h/shop", "mysql+cymysql://h/shop", "mariadb://"])
def test_the_statements_are_written_without_a_connection_or_a_driver(url: str, capture: Capture) -> None:
    said = capture("sql", f"sqla+{url}", "--prefix", "q_")
    assert (said.status, said.error) == (0, "")
    assert said.out.count("CREATE TABLE IF NOT EXISTS q_") == 8
    assert "kombu_queue" not in said.out
    collation = {"mysql": "utf8mb4_0900_bin", "maria": "utf8mb4_nopad_bin"}.get(url[:5])
    assert collation is None or collation in said.out
    later = capture("sql", url, "--since", "kombu_0002").out
    assert "ADD COLUMN" in later
    assert "CREATE TABLE" not in later


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upgrade", "queues"], "not a URL of SQLAlchemy's"),
        (["upgrade", "sqla+postgresql://u:geheim@h:port/x"], "not a URL of SQLAlchemy's"),
        (["upgrade", "sqlite://"], "name a file"),
        (["upgrade", "django://default"], "manage.py migrate"),
        (["upgrade", "sqlite:////nowhere/at/all.sqlite3"], "Does its folder exist"),
        (["current", "postgresql+nodriver://u:geheim@h/x"], "driver that is not installed"),
        (["current", "postgresql+asyncpg://u:geheim@h/x"], "pip install 'kombu[sqlalchemy,postgresql]'"),
        (["current", "postgresql+psycopg://u:geheim@127.0.0.1:1/x"], "Connection refused"),
        (["sql", "nosuch://u:geheim@h/x"], "not a URL of SQLAlchemy's"),
        (["sql", "oracle://u:geheim@h/x"], "not in oracle"),
        (["sql", "sqlite:///x", "--since", "kombu_0000"], "--since kombu_0000: Can't locate revision"),
        (["upgrade", "sqlite:///x", "--prefix", "A b"], "table_prefix='A b' must be"),
        (["upgrade"], "required: URL"),
        (["downgrade", "sqlite:///x"], "invalid choice"),
        ([], "required: upgrade|current|sql"),
        (["upgrade", "mariadb://u:geheim@h/"], "names no database: it stands at the end, as in mariadb"),
        (["current", "postgresql://u:geheim@h"], "@h/shop"),
        (["upgrade", "sqla+postgresql://"], "postgresql+psycopg:///shop"),
        (["upgrade", "postgresql://u:geheim@h?connect_timeout=3"], "names no database"),
        (["upgrade", "postgresql://127.0.0.1:1?dbname=shop"], "Connection refused"),
    ],
    ids=str,
)
def test_bad_input_is_refused_with_what_to_do(arguments: list[str], message: str, capture: Capture) -> None:
    said = capture(*arguments)
    assert (said.status, said.out) == (2, "")
    assert message in said.error
    assert "geheim" not in said.error
    assert "Traceback" not in said.error


@pytest.mark.server("postgresql")
def test_a_database_that_is_not_there_is_said_to_be_missing(capture: Capture) -> None:
    for command in ("upgrade", "current"):
        said = capture(command, servers.postgresql_url("kombu_nowhere").replace("kombu@", "kombu:geheim@"))
        assert (said.status, '"kombu_nowhere" does not exist' in said.error) == (2, True)
        assert "geheim" not in said.error


@pytest.mark.server("mariadb")
def test_a_database_of_mariadb_that_is_not_there_is_said_to_be_missing(capture: Capture) -> None:
    said = capture("upgrade", servers.mariadb_url("kombu_nowhere"))
    assert (said.status, "does not exist" in said.error) == (2, True)


def test_a_schema_that_is_not_there_is_said_to_be_missing(doors: Doors, capture: Capture) -> None:
    said = capture("upgrade", doors.url, "--prefix", "nowhere.q_")
    assert (said.status, "nowhere" in said.error) == (2, True)
    if doors.kind == "postgresql":
        assert "Create the schema" in said.error


def test_a_read_only_database_can_be_looked_at_and_not_upgraded(doors: Doors, capture: Capture) -> None:
    doors.migrate("0002")
    url = read_only(doors)
    assert capture("current", url).status == 1
    said = capture("upgrade", url)
    assert said.status == 2
    assert "read-only" in said.error
    doors.migrate()
    assert capture("current", url).status == 0


def test_a_file_where_nothing_may_be_written_can_be_looked_at(tmp_path: Path) -> None:
    """SQLite would make files beside one that has a WAL, even to read it."""
    file = tmp_path / "kept" / "50% off #1.sqlite3"
    file.parent.mkdir()
    url = f"sqlite:///{file}"
    assert run("upgrade", url).returncode == 0
    file.chmod(0o444)
    file.parent.chmod(0o555)
    try:
        said = run("current", url, before=powerless())
        assert (said.returncode, said.stderr) == (0, "")
        assert "kombu_0004, the newest" in said.stdout
        assert "only" in run("upgrade", url, before=powerless()).stderr
    finally:
        file.parent.chmod(0o755)


def test_a_file_where_nothing_may_be_written_is_read_as_others_have_left_it(tmp_path: Path) -> None:
    """What is in the WAL counts, too."""
    file = tmp_path / "kept" / "queues.sqlite3"
    file.parent.mkdir()
    url = f"sqlite:///{file}"
    engine = make_engine(url, 5.0, {})
    with engine.connect() as connection:
        metadata.create_all(connection)
        connection.commit()
        assert Path(f"{file}-wal").stat().st_size
        file.parent.chmod(0o555)
        try:
            said = run("current", url, before=powerless())
        finally:
            file.parent.chmod(0o755)
    engine.dispose()
    assert (said.returncode, said.stderr) == (0, "")


def read_only(doors: Doors) -> str:
    match doors.kind:
        case "sqlite":
            return f"sqlite:///file:{doors.engine.url.database}?mode=ro&uri=true"
        case "postgresql":
            return f"{doors.url}?options=-c%20default_transaction_read_only%3Don"
        case _:
            return f"{doors.url}&init_command=SET%20SESSION%20TRANSACTION%20READ%20ONLY"


def test_it_is_a_program_with_help_and_an_exit_status(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queues.sqlite3'}"
    assert run("--help").stdout.count("upgrade") > 3
    assert "--prefix" in run("upgrade", "--help").stdout
    assert [run(command, url).returncode for command in ("current", "upgrade", "current")] == [1, 0, 0]


def test_without_alembic_it_says_how_to_install_it() -> None:
    program = "import sys; sys.modules['alembic'] = None; from kombu_sqlalchemy.__main__ import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", program, "current", "sqlite:///x"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "pip install alembic" in ran.stderr
    assert "Traceback" not in ran.stderr


def run(*arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-W", "error", "-m", "kombu_sqlalchemy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def powerless() -> Sequence[str]:
    """Root may write everywhere."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root's powers cannot be laid down without setpriv")
    return "setpriv", "--bounding-set=-all", "--inh-caps=-all"
