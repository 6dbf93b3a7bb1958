"""What is wrong with a database is said where it is met, with what to do, through both doors."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from kombu import Connection, Queue
from kombu.exceptions import AccessRefused, KombuError, OperationalError, VersionMismatch
from kombu.sql import MARIADB, MYSQL, POSTGRESQL, SQLITE, Dialect
from kombu.sql.errors import explained
from kombu_sqlalchemy import metadata
from tests import servers
from tests.disks import small_disk
from tests.instances import Instance, instance
from tests.places import EVERYWHERE, ON_MARIADB, ON_POSTGRESQL, ON_SERVERS, ON_SQLITE, Place, alias

EVERYWHERE_ELSE = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
LARGE = os.urandom(100_000)
"""PostgreSQL would make little of what repeats itself."""
ORDERS = Queue("orders")
READ_ONLY = "Connect to the primary, or unset default_transaction_read_only"
FOR_A_FILE = "is read-only: attempt to write .*Give this program the right to write to the file and to its folder"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqla+", "sqla"),
        ("sqla://", "which database?"),
        ("sqla+nonsense", "sqla"),
        ("sqla+oracle+nothing://host/db", "needs a driver"),
        ("sqla+postgresql://host:port/db", "not a URL"),
        ("sqla+sqlite://", "in memory"),
        ("django://nowhere", "no such alias in settings.DATABASES"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_connected(url: str, said: str) -> None:
    with pytest.raises(KombuError, match=re.escape(said)):
        Connection(url).connect()


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
def test_a_missing_database_is_named_with_what_to_do(place: Place) -> None:
    with pytest.raises(OperationalError, match=r"does not exist.*Create it, or mend its name in the URL"):
        place.connect(elsewhere(place, "kombu_nowhere")).connect()


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_missing_folder_is_named_with_what_to_do(place: Place, tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="Does its folder exist"):
        place.connect(elsewhere(place, str(tmp_path / "missing" / "queues.sqlite3"))).connect()


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_file_that_is_no_database_is_said_to_be_none(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear reader, " * 100)
    # Django leaves a connection open whose init_command fails.
    url = elsewhere(place, str(file)) if place.door == "sqla" else place.aliased(NAME=str(file), OPTIONS={})
    with pytest.raises(OperationalError, match="not a database"):
        place.connect(url).connect()


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
def test_a_server_that_is_not_there_is_named(place: Place) -> None:
    nobody = a_port_of_nobody()
    with pytest.raises(OperationalError, match=servers.HOST):
        place.connect(elsewhere(place, place.engine.url.database or "", port=nobody)).connect()


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_a_read_only_database_of_postgresql_is_refused_when_connecting_with_what_to_do(place: Place) -> None:
    """What is there already needs no declaring, and nobody would notice before the first message."""
    declare(place.connect())
    with pytest.raises(OperationalError, match=rf"is read-only.*{READ_ONLY}"):
        place.connect(place.with_options(options="-c default_transaction_read_only=on")).connect()


def test_one_that_becomes_read_only_later_is_refused_alike() -> None:
    refused = psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
    said = explained("database 'shop'", refused, lost=False, migrate="")
    assert type(said) is OperationalError
    assert re.search(rf"database 'shop' is read-only: cannot execute INSERT.*{READ_ONLY}", str(said))


@pytest.mark.parametrize("place", ON_MARIADB, indirect=True)
def test_a_read_only_database_of_mariadb_is_refused_with_what_to_do(place: Place) -> None:
    with pytest.raises(OperationalError, match=r"is read-only.*Connect to the primary"):
        declare(place.connect(place.with_options(init_command="SET SESSION TRANSACTION READ ONLY")))


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_read_only_file_is_refused_with_what_to_do(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "read-only.sqlite3"
    make_tables(f"sqlite:///{file}")
    if place.door == "sqla":
        url = f"sqla+sqlite:///file:{file}?mode=ro&uri=true"
        with pytest.raises(OperationalError, match=FOR_A_FILE):
            declare(Connection(url))
    else:
        with (
            alias("default", NAME=f"file:{file}?mode=ro", OPTIONS={"uri": True}) as url,
            pytest.raises(OperationalError, match=FOR_A_FILE),
        ):
            declare(Connection(url))


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_on_a_full_disk_nothing_counts_that_is_not_stored(place: Place, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "2m") as folder:
        file = folder / "queues.sqlite3"
        make_tables(f"sqlite:///{file}")
        fill(Connection(elsewhere(place, str(file))), folder)
        with sqlite3.connect(file) as left:  # the file is sound
            assert left.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        left.close()


@pytest.mark.server("postgresql")
class TestAFullDiskOfPostgreSQL:
    @pytest.fixture
    def disk(self) -> Iterator[Path]:
        """Where the server's user gets to."""
        with tempfile.TemporaryDirectory() as home:
            Path(home).chmod(0o711)
            with small_disk(Path(home) / "small", "24m") as folder:
                yield folder

    @pytest.fixture
    def tight(self, disk: Path) -> Iterator[str]:
        """A database there, of a server that has everything else elsewhere."""
        with instance("postgresql") as own:
            make_database(own, disk)
            yield own.url("tight")

    def test_nothing_counts_that_is_not_stored(self, tight: str, disk: Path) -> None:
        make_tables(tight)
        fill(Connection(f"sqla+{tight}"), disk)

    def test_nor_does_it_through_django(self, tight: str, disk: Path) -> None:
        make_tables(tight)
        with alias("postgresql", PORT=make_url(tight).port, NAME="tight") as url:
            fill(Connection(url), disk)


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL, MARIADB, MYSQL], ids=lambda dialect: dialect.name)
def test_a_server_that_is_too_old_is_refused_with_what_it_lacks(dialect: Dialect) -> None:
    dialect.check_version(dialect.oldest)
    with pytest.raises(VersionMismatch, match=r"is too old: .* or newer is needed, for .*\. Upgrade the server"):
        dialect.check_version((dialect.oldest[0], dialect.oldest[1] - 1))


@EVERYWHERE_ELSE
def test_the_version_is_looked_at_when_connecting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """No old server can be had here, so it is the demand that is raised."""
    seen: list[str] = []
    monkeypatch.setattr(Dialect, "check_version", lambda self, version: too_old(seen, self, version))
    with pytest.raises(VersionMismatch, match="too old"):
        place.connect().connect()
    assert seen


@pytest.mark.server("postgresql")
def test_who_has_no_right_to_the_tables_is_told_so() -> None:
    url = f"postgresql+psycopg://nobody:secret@{servers.HOST}:{servers.PG_PORT}/kombu"
    with pytest.raises(AccessRefused) as raised:
        Connection(f"sqla+{url}").connect()
    assert "secret" not in str(raised.value)


def too_old(seen: list[str], dialect: Dialect, version: tuple[int, ...]) -> None:
    seen.append(dialect.name)
    raise VersionMismatch(f"{dialect.name} {version} is too old")


def elsewhere(place: Place, database: str, port: int | None = None) -> str:
    """The URL of another database through the same door."""
    if place.door == "sqla":
        there = place.engine.url.set(database=database)
        return f"sqla+{(there if port is None else there.set(port=port)).render_as_string(hide_password=False)}"
    return place.aliased(NAME=database) if port is None else place.aliased(NAME=database, PORT=port)


def declare(connection: Connection) -> None:
    with connection:
        ORDERS(connection).declare()


def make_tables(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    metadata.create_all(engine)
    engine.dispose()


def fill(connection: Connection, disk: Path) -> None:
    """Until there is no space left: what was confirmed is there, in whole, and the rest is not. To take a message
    needs some space, too."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    with connection:
        orders = ORDERS(connection)
        orders.declare()
        producer, stored = connection.Producer(), 0
        with pytest.raises(OperationalError, match="no space left, and nothing of this was stored"):
            for stored in range(10_000):  # noqa: B007 - the number that was stored before the one that failed
                producer.publish(LARGE, "orders", content_type="application/octet-stream", content_encoding="binary")
        ballast.unlink()
        assert connection.statistics(["orders"])["orders"].ready == stored > 0
        found = orders.get()
        assert found is not None
        assert found.body == LARGE
        found.ack()


def make_database(own: Instance, folder: Path) -> None:
    """Only a superuser may choose its place, and none can log in."""
    own.end("fast")
    own.run(
        f"""
        pg_find_programs; pg_find_data; mkdir "{folder}/data"; chown "$owner" "{folder}/data"
        echo "CREATE TABLESPACE small OWNER kombu LOCATION '{folder}/data'" |
            as_owner "$bin/postgres" --single -D "$data" postgres >"$data.log" 2>&1
        ! grep ERROR "$data.log" >&2
        """
    )
    own.start()
    with psycopg.connect(f"postgresql://kombu@{servers.HOST}:{own.port}/kombu", autocommit=True) as connection:
        connection.execute("CREATE DATABASE tight TABLESPACE small")


def a_port_of_nobody() -> int:
    """Where nothing listens."""
    with socket.create_server((servers.HOST, 0)) as found:
        return int(found.getsockname()[1])
