"""``sqla+<URL>``: which URLs and options it takes, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import pickle
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.pool import QueuePool

from kombu import Connection, Message, Queue, aio
from kombu.exceptions import InvalidURL, KombuError, OperationalError
from kombu_sqlalchemy.engines import make_engine
from tests.aio import play, received
from tests.memory import PATIENCE, publish, take
from tests.places import Place, places
from tests.servers import HOST, MARIADB_PORT, PG_PORT

ORDERS = Queue("orders")
HOSTILE = "p@ss/w:rd%?&#"
ESCAPED = "p%40ss%2Fw%3Ard%25%3F%26%23"
SQLA = places("sqla-sqlite", "sqla-postgresql", "sqla-mariadb")


@pytest.mark.parametrize("scheme", ["sqla", "sqlalchemy"])
def test_both_schemes_lead_to_the_same_queues(scheme: str, tmp_path: Path) -> None:
    with Connection(f"sqla+sqlite:///{tmp_path}/q.sqlite3") as one:
        ORDERS(one).declare()
        publish(one, 1)
    with Connection(f"{scheme}+sqlite:///{tmp_path}/q.sqlite3") as other:
        assert take(other).payload == 1


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://host/db", "psycopg"),
        ("postgresql+psycopg://host/db", "psycopg"),
        ("mysql://host/db", "mysqldb" if find_spec("MySQLdb") else "pymysql"),
        ("mariadb://host/db", "mysqldb" if find_spec("MySQLdb") else "pymysql"),
        ("mysql+pymysql://host/db", "pymysql"),
    ],
)
def test_without_a_drivers_name_the_best_one_is_taken(url: str, driver: str) -> None:
    assert make_engine(url, 1.0, {}).driver == driver


def test_a_password_has_its_percent_escapes_undone_once() -> None:
    connection = Connection(f"sqla+postgresql://me:{ESCAPED}@host/db")
    engine = make_engine(connection.as_uri(include_password=True).removeprefix("sqla+"), 1.0, {})
    assert (engine.url.username, engine.url.password, engine.url.host) == ("me", HOSTILE, "host")


@pytest.mark.server("postgresql")
def test_options_in_the_url_are_sqlalchemys_and_the_drivers(postgresql_engine: Engine) -> None:
    url = postgresql_engine.url.update_query_dict({"application_name": "kombu of the shop"})
    with Connection(f"sqla+{url.render_as_string(hide_password=False)}") as connection:
        ORDERS(connection).declare()
        with postgresql_engine.connect() as look:
            names = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'kombu of the shop'"
            assert look.execute(text(names)).scalar_one() == 1


@pytest.mark.parametrize("url", ["sqla+sqlite://", "sqla+sqlite:///:memory:", "sqlalchemy+sqlite:///"])
def test_sqlite_in_memory_is_refused_with_the_way_out(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"name a file.*memory://"):
        Connection(url).connect()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "sqlite://"}, "engine='sqlite://' is no SQLAlchemy Engine"),
        ({"connection": 1}, "connection=1 is no SQLAlchemy Connection"),
        ({"engine_options": ["echo"]}, "engine_options=.* must be a mapping"),
        ({"engine_options": {"pool_sise": 2}}, "pool_sise"),
        ({"engine_options": {"connect_args": 1}}, "connect_args=1 must be a mapping"),
        ({"create_tables": "no"}, "create_tables='no' must be True or False"),
        ({"create_tables": 1}, "create_tables=1 must be True or False"),
        ({"table_prefix": 7}, "table_prefix=7"),
        ({"prefix": "shop_"}, "unknown transport option 'prefix'.*table_prefix"),
        ({"lease": "long"}, "lease='long' is not a number"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidURL, match=said):
        Connection(f"sqla+sqlite:///{tmp_path}/q.sqlite3", transport_options=options).connect()


HOSTILE_PREFIXES = [
    "",
    "Shop_",
    "1shop_",
    "shop-",
    "a.b.c_",
    'x"; DROP TABLE kombu_queue; --',
    "é_",
    "%s",
    "a" * 31,
    ".",
]


@pytest.mark.parametrize("prefix", HOSTILE_PREFIXES)
def test_a_prefix_that_is_no_plain_name_is_refused(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidURL, match="table_prefix"):
        Connection(f"sqla+sqlite:///{tmp_path}/q.sqlite3", transport_options={"table_prefix": prefix}).connect()


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_two_prefixes_in_one_database_do_not_see_each_other(place: Place) -> None:
    try:
        ours = place.connect(table_prefix="ours_", create_tables=True)
        theirs = place.connect(table_prefix="theirs_", create_tables=True)
        for connection, body in ((ours, 1), (theirs, 2)):
            ORDERS(connection).declare()
            publish(connection, body)
        assert [take(ours).payload, ORDERS(ours).get()] == [1, None]
        assert [take(theirs).payload, ORDERS(theirs).get()] == [2, None]
        assert {"ours_message", "theirs_message"} <= set(inspect(place.engine).get_table_names())
        assert place.bodies() == []
    finally:
        ours.close()
        theirs.close()
        _drop(place.engine, "ours_", "theirs_")


@pytest.mark.parametrize("place", places("sqla-postgresql"), indirect=True)
def test_a_schema_stands_before_the_prefix(place: Place) -> None:
    with place.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS shop CASCADE"))
        connection.execute(text("CREATE SCHEMA shop"))
    connection = place.connect(table_prefix="shop.kombu_", create_tables=True)
    ORDERS(connection).declare()
    publish(connection, 1)
    assert take(connection).payload == 1
    assert "kombu_message" in inspect(place.engine).get_table_names(schema="shop")
    assert place.bodies() == []


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_tables_are_made_where_that_is_asked_for_and_unasked_on_sqlite_only(place: Place) -> None:
    try:
        with pytest.raises(OperationalError, match="has no kombu tables: run python -m kombu_sqlalchemy upgrade"):
            place.connect(table_prefix="not_", create_tables=False).connect()
        if place.database == "sqlite":
            place.connect(table_prefix="unasked_").connect()
        else:
            with pytest.raises(OperationalError, match="create_tables"):
                place.connect(table_prefix="unasked_").connect()
        place.connect(table_prefix="asked_", create_tables=True).connect()
    finally:
        _drop(place.engine, "not_", "unasked_", "asked_")


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_the_options_of_every_store_work_beside_those_of_this_one(place: Place) -> None:
    connection = place.connect(
        engine_options={"poolclass": QueuePool, "pool_size": 1}, lease=30, settle_delay=0, prefetch=2
    )
    ORDERS(connection).declare()
    publish(connection, *range(5))
    seen: list[Message] = []
    with connection.Consumer(ORDERS, on_message=seen.append):
        for _ in range(2):
            connection.drain_events(timeout=PATIENCE)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)
        seen[0].ack()
        assert place.bodies() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_what_is_taken_from_the_applications_pool_goes_back_as_it_was(place: Place) -> None:
    url = place.sqla_url.removeprefix("sqla+")
    engine = create_engine(url, poolclass=QueuePool, pool_size=2, max_overflow=4)
    with engine.connect() as before:
        level = before.get_isolation_level()
    with Connection("sqla://", transport_options={"engine": engine}) as connection:
        ORDERS(connection).declare()
        seen: list[int] = []

        def handle(body: int, message: Message) -> None:
            seen.append(body)
            message.ack()

        threads = [threading.Thread(target=publish, args=(connection, number)) for number in range(3)]
        with connection.Consumer(ORDERS, callbacks=[handle]):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.05)
            for thread in threads:
                thread.start()
            while len(seen) < 3:
                connection.drain_events(timeout=PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as one, engine.connect() as two:
        assert [each.get_isolation_level() for each in (one, two)] == [level, level]
        if place.database == "postgresql":
            asked = [each.execute(text("SELECT pg_listening_channels()")).all() for each in (one, two)]
            assert asked == [[], []]
    engine.dispose()


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_a_pool_of_the_connections_own_ends_with_it(place: Place) -> None:
    opened: list[object] = []
    closed: list[object] = []
    events = [
        (lambda driver, *_: opened.append(driver), "connect"),
        (lambda driver, *_: closed.append(driver), "close"),
    ]
    connection = place.connect(engine_options={"poolclass": QueuePool, "pool_events": events})
    ORDERS(connection).declare()
    connection.release()
    assert opened
    assert closed == opened


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_what_cannot_be_opened_keeps_no_connection_of_the_pool(place: Place) -> None:
    engine = create_engine(place.sqla_url.removeprefix("sqla+"), poolclass=QueuePool, pool_size=2)
    options = {"engine": engine, "table_prefix": "nowhere_", "create_tables": False}
    with pytest.raises(OperationalError, match="no kombu tables"):
        Connection("sqla://", transport_options=options).connect()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    engine.dispose()


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_an_acknowledgement_through_the_callers_connection_is_in_the_transaction_that_it_commits(place: Place) -> None:
    connection = place.connect()
    ORDERS(connection).declare()
    publish(connection, 1)
    with place.engine.connect() as outer, Connection("sqla://", transport_options={"connection": outer}) as inside:
        take(inside).ack()
        outer.commit()
        assert place.bodies() == []
        outer.rollback()


def test_a_connection_is_known_by_its_url_which_shows_no_password() -> None:
    connection = Connection(f"sqla+postgresql://me:{ESCAPED}@host/db", transport_options={"table_prefix": "shop_"})
    again = pickle.loads(pickle.dumps(connection))
    assert again == connection
    assert again.as_uri(include_password=True) == f"sqla+postgresql://me:{ESCAPED}@host/db"
    assert again.transport_options == {"table_prefix": "shop_"}
    assert again != Connection(f"sqla+postgresql://me:{ESCAPED}@host/db")
    for shown in (repr(connection), connection.as_uri(), str(connection)):
        assert not _tells(shown)
        assert "**" in shown


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://nobody:{ESCAPED}@{HOST}:{PG_PORT}/nowhere", marks=pytest.mark.server("postgresql")),
        pytest.param(
            f"mysql+pymysql://nobody:{ESCAPED}@{HOST}:{MARIADB_PORT}/kombu", marks=pytest.mark.server("mariadb")
        ),
        f"postgresql://nobody:{ESCAPED}@{HOST}:1/nowhere",
        f"mysql+pymysql://nobody:{ESCAPED}@{HOST}:1/nowhere",
        f"postgresql://nobody@{HOST}:1/nowhere?password={ESCAPED}",
        f"postgresql://nobody@{HOST}:1/nowhere?sslpassword={ESCAPED}",
        f"mysql+pymysql://nobody@{HOST}:1/nowhere?passwd={ESCAPED}",
        f"postgresql+nodriver://nobody:{ESCAPED}@{HOST}/nowhere",
        f"postgresql://nobody:{ESCAPED}@{HOST}:port/nowhere",
    ],
)
@pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning")
def test_who_is_not_let_in_is_told_so_without_the_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(KombuError) as refused:
        Connection(f"sqla+{url}", connect_timeout=2).connect()
    error: BaseException | None = refused.value
    while error is not None:
        assert not _tells(str(error) + repr(error))
        error = error.__cause__ or error.__context__
    assert not _tells(caplog.text)


@pytest.mark.parametrize("place", SQLA, indirect=True)
def test_with_asyncio_what_is_published_at_once_is_together(place: Place) -> None:
    async def scene() -> list[int]:
        async with aio.Connection(place.url) as connection:
            queue = aio.Queue("orders")
            async with connection.Consumer(queue) as consumer:
                await asyncio.gather(*(connection.Producer(routing_key="orders").publish(n) for n in range(100)))
                found = await received(consumer, 100)
                waiting = asyncio.create_task(consumer.get())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await connection.Producer(routing_key="orders").publish(100)
                return [*found, *await received(consumer, 1)]

    assert sorted(play(scene())) == list(range(101))
    assert place.bodies() == []


def _tells(shown: str) -> bool:
    return any(secret in shown for secret in (HOSTILE, ESCAPED, HOSTILE[:4], ESCAPED[:6]))


def _drop(engine: Engine, *prefixes: str) -> None:
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            if table.startswith(prefixes):
                connection.execute(text(f"DROP TABLE {table}"))
