"""SQLAlchemy's URLs: what is wrong in one is said with what to do, what is secret in one is not said, and which of them
lead to the same database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from kombu import Connection, Queue
from kombu.exceptions import InvalidURL, KombuError, MissingDriver, NotSupported, OperationalError
from kombu_sqlalchemy.__main__ import main
from kombu_sqlalchemy.store import same_database
from tests.memory import publish, take
from tests.places import Place, places
from tests.servers import HOST, PG_PORT

ORDERS = Queue("orders")
SECRET = "geheim"

WITH_SECRETS = [
    f"postgresql://u@{HOST}:1/db?password={SECRET}",
    f"postgresql+psycopg://u@{HOST}:1/db?sslmode=prefer&sslpassword={SECRET}",
    f"postgresql://u@{HOST}:1/db?password={SECRET}@{SECRET};{SECRET}",
    f"postgresql://u@{HOST}:1/db?scram_client_key={SECRET}",
    f"postgresql://u@{HOST}:1/db?passwort={SECRET}",
    f"postgresql://u@{HOST}:port/db?password={SECRET}",
    f"postgresql://u:p@{SECRET}@{HOST}:1/db",
    f"mysql+pymysql://u@{HOST}:1/db?passwd={SECRET}",
    f"mysql+pymysql://u@{HOST}:1/db?password={SECRET}&charset=utf8mb4",
    f"mysql+pymysql://u@{HOST}:1/db?passwort={SECRET}",
    f"mysql+pymysql://u@{HOST}:1/?passwd={SECRET}",
    f"mysql+pymysql://u:{SECRET}\N{EURO SIGN}@{HOST}:1/db",
    f"mysql+pymysql://u:p@{SECRET}@{HOST}:1/db",
]
ON_SERVERS_OF_SQLALCHEMY = places("sqla-postgresql", "sqla-mariadb")


@pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("url", WITH_SECRETS)
def test_no_error_repeats_a_secret_of_the_url(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(KombuError) as raised:
        Connection(f"sqla+{url}", connect_timeout=2).connect()
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in str(error) + repr(error)
        error = error.__cause__ or error.__context__
    assert SECRET not in caplog.text


@pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("url", WITH_SECRETS)
def test_nor_does_the_command(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", url]) == 2
    said = capsys.readouterr()
    assert (said.out, SECRET in said.err, "Traceback" in said.err) == ("", False, False)


@pytest.mark.server("postgresql")
def test_nor_do_the_command_that_is_advised_and_the_result(
    postgresql_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql_engine.url.update_query_dict({"password": SECRET}).render_as_string(hide_password=False)
    with pytest.raises(OperationalError, match=r"run python -m kombu_sqlalchemy upgrade '.*\?password=\*\*'") as raised:
        Connection(f"sqla+{url}", transport_options={"table_prefix": "nowhere_"}).connect()
    assert SECRET not in str(raised.value)
    assert main(["current", url]) == 0
    said = capsys.readouterr()
    assert (SECRET in said.out + said.err, "?password=**" in said.out) == (False, True)


def test_what_a_driver_says_of_an_engine_that_the_program_has_is_without_secrets() -> None:
    engine = create_engine(f"postgresql+psycopg://u:p@{SECRET}@{HOST}:1/db")
    with pytest.raises(OperationalError) as raised:
        Connection("sqla://", transport_options={"engine": engine}).connect()
    assert SECRET not in str(raised.value)


def test_a_word_that_the_url_shows_anyway_stays_readable() -> None:
    with pytest.raises(OperationalError, match=f"{HOST}.*Connection refused") as raised:
        Connection(f"sqla+postgresql://u:{HOST}@{HOST}:1/db").connect()
    assert '"**"' not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://u@host/",
        "mariadb://u@host",
        "postgresql+psycopg://u@host",
        "postgresql:///?host=/run/postgresql",
        "postgresql://",
    ],
)
def test_a_server_without_a_database_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGDATABASE", raising=False)
    with pytest.raises(InvalidURL, match=r"names no database: it stands at the end, as in .*/shop"):
        Connection(f"sqla+{url}").connect()


@pytest.mark.parametrize("place", ON_SERVERS_OF_SQLALCHEMY, indirect=True)
def test_the_database_may_be_named_elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    name, bare = place.engine.url.database or "", place.engine.url.set(database=None)
    keyword = "dbname" if place.database == "postgresql" else "database"
    url = f"sqla+{bare.render_as_string(hide_password=False)}"
    place.connect(url.rstrip("/") + f"/?{keyword}={name}").connect()
    place.connect(url, engine_options={"connect_args": {keyword: name}}).connect()
    handed_in = create_engine(bare, connect_args={keyword: name}, poolclass=NullPool)
    place.connect("sqla://", engine=handed_in).connect()
    if place.database == "postgresql":
        monkeypatch.setenv("PGDATABASE", name)
        place.connect(url).connect()


@pytest.mark.parametrize(("url", "name"), [("postgres://u@host/db", "postgresql"), ("sqlite3:///q.db", "sqlite")])
def test_a_name_that_sqlalchemy_does_not_know_is_corrected(url: str, name: str) -> None:
    with pytest.raises(InvalidURL, match=rf"SQLAlchemy's name is {name}://, so write sqla\+{name}://"):
        Connection(f"sqla+{url}").connect()


@pytest.mark.parametrize(
    ("driver", "extra"),
    [("postgresql+psycopg2cffi", "postgresql"), ("postgresql+nodriver", "postgresql"), ("mysql+cymysql", "mariadb")],
)
def test_instead_of_a_driver_that_is_missing_none_is_to_be_named(driver: str, extra: str) -> None:
    plain = driver.partition("+")[0]
    with pytest.raises(MissingDriver) as raised:
        Connection(f"sqla+{driver}://u@host/db").connect()
    assert f"leave its name out, sqla+{plain}://" in str(raised.value)
    assert f"pip install 'kombu[sqlalchemy,{extra}]'" in str(raised.value)


def test_a_driver_for_asyncio_is_refused() -> None:
    with pytest.raises(InvalidURL, match=r"psycopg_async is for asyncio.* leave its name out, sqla\+postgresql://"):
        Connection("sqla+postgresql+psycopg_async://u@host/db").connect()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"mysql+pymysql://u@{HOST}:1/db?colour=red", "pymysql does not take this.*'colour'.*transport_options"),
        (f"mysql+pymysql://u@{HOST}:1/db?port=one", "pymysql does not take this: port"),
        (f"mysql+pymysql://u:\N{EURO SIGN}@{HOST}:1/db", "the characters of user or password, which mysqlclient can"),
        (f"postgresql://u:p@ss@{HOST}:1/db", "an @ in user, password or query is written %40"),
    ],
)
def test_what_a_driver_does_not_take_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidURL, match=said):
        Connection(f"sqla+{url}").connect()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'handed.sqlite3'}")
    yield made
    made.dispose()


@pytest.mark.parametrize("url", ["sqla+sqlite:///other.sqlite3", "sqla://host/db", "sqla:///other.sqlite3"])
def test_an_engine_and_a_url_that_says_something_are_one_too_many(url: str, engine: Engine) -> None:
    with pytest.raises(InvalidURL, match=r"option engine .*leave out what the URL says, sqla://"):
        Connection(url, transport_options={"engine": engine}).connect()
    with engine.connect() as outer, pytest.raises(InvalidURL, match=r"option connection .*leave out what the URL says"):
        Connection(url, transport_options={"connection": outer}).connect()


def test_options_that_say_two_things_are_refused(engine: Engine) -> None:
    with engine.connect() as outer, pytest.raises(InvalidURL, match=r"option connection .*leave out the option engine"):
        Connection("sqla://", transport_options={"engine": engine, "connection": outer}).connect()
    with pytest.raises(InvalidURL, match=r"option engine .*leave out the option engine_options"):
        Connection("sqla://", transport_options={"engine": engine, "engine_options": {"echo": True}}).connect()


@pytest.mark.parametrize("url", ["sqla://", "sqlalchemy://"])
def test_an_engine_alone_will_do(url: str, engine: Engine) -> None:
    for connection in (
        Connection(url, transport_options={"engine": engine}),
        Connection(transport="sqla", transport_options={"engine": engine}),
    ):
        with connection:
            ORDERS(connection).declare()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://h/db", "postgresql+psycopg://u:p@h:5432/db"),
        ("postgresql://H.example.org/db", "postgresql://h.EXAMPLE.org/db"),
        ("postgresql:///db?host=/a", "postgresql:///db?port=5432&host=/a"),
        ("postgresql://h:5433/db", "postgresql:///db?host=h&port=5433"),
        ("postgresql://h:5433/?dbname=db", "postgresql://h:5433/db"),
        ("postgresql:///db?host=a:1&host=B:2", "postgresql:///db?host=A,b&port=1,2"),
        ("postgresql://shop@h", "postgresql://h/shop"),
        ("postgresql://[::1]/db", "postgresql:///db?host=::1"),
        ("mysql+pymysql://h/db", "mariadb+pymysql://u@h:3306/db"),
        ("mysql+pymysql:///db?unix_socket=/a", "mysql+pymysql://localhost:3306/db?unix_socket=/a"),
        ("sqlite:///a.db", "sqlite:///./a.db"),
        ("sqlite:///a.db", "sqlite:///{here}/a.db"),
        ("sqlite:///a.db", "sqlite:///{here}/../{name}/a.db"),
        ("sqlite:///a.db", "sqlite:///{here}/link.db"),
        ("sqlite:///a.db", "sqlite:///file:a.db?mode=rw&uri=true"),
        ("sqlite:///a b.db", "sqlite:///file:{here}/a%20b.db?uri=true"),
        ("sqlite:///file:m?mode=memory&cache=shared&uri=true", "sqlite:///file:m?cache=shared&mode=memory&uri=true"),
    ],
)
def test_a_database_is_known_in_other_spellings(
    one: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("a.db")
    assert same_database(*(_engine(url.format(here=tmp_path, name=tmp_path.name)) for url in (one, other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql:///db?host=/a", "postgresql:///db?host=/b"),
        ("postgresql:///db?host=/a", "postgresql:///db?host=/A"),
        ("postgresql:///db?host=/a", "postgresql:///db?host=/a&port=5433"),
        ("postgresql://h/db", "postgresql://h:5433/db"),
        ("postgresql://h/db", "postgresql://h/DB"),
        ("postgresql://a@h", "postgresql://b@h"),
        ("postgresql:///?service=a", "postgresql:///?service=b"),
        ("postgresql://localhost/db", "postgresql://127.0.0.1/db"),
        ("postgresql://h:3306/db", "mysql+pymysql://h:3306/db"),
        ("mysql+pymysql://h/db", "mysql+pymysql://h:3307/db"),
        ("mysql+pymysql:///db?unix_socket=/a", "mysql+pymysql:///db?unix_socket=/b"),
        ("sqlite:///a.db", "sqlite:///b.db"),
        ("sqlite:///a.db", "sqlite:////a.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///file:m?mode=memory&uri=true", "sqlite:///file:m?mode=memory&uri=true"),
        ("sqlite:///file:m?mode=memory&cache=shared&uri=true", "sqlite:///file:n?mode=memory&cache=shared&uri=true"),
    ],
)
def test_another_database_is_another(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    assert not same_database(_engine(one), _engine(other))


def test_a_port_that_the_environment_names_is_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "5433")
    assert same_database(_engine("postgresql://h/db"), _engine("postgresql://h:5433/db"))
    assert not same_database(_engine("postgresql://h/db"), _engine("postgresql://h:5432/db"))


def test_what_is_in_memory_is_the_same_through_its_own_engine_only() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    assert same_database(engine, engine.execution_options(logging_token="shop"))
    engine.dispose()


def test_a_file_in_another_spelling_is_the_queues_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = create_engine("sqlite:///./shop.sqlite3")
    with Connection(f"sqla+sqlite:///{tmp_path}/shop.sqlite3") as connection:
        ORDERS(connection).declare()
        with Session(engine) as session:
            publish(connection, 1, within=session)
            session.commit()
        assert take(connection).payload == 1
    engine.dispose()


@pytest.mark.parametrize("place", places("sqla-postgresql"), indirect=True)
def test_so_is_a_server_in_another_spelling(place: Place) -> None:
    connection = place.connect()
    ORDERS(connection).declare()
    bare = place.engine.url.set(host=None, port=None)
    theirs = create_engine(bare.update_query_dict({"host": HOST, "port": str(PG_PORT)}))
    with Session(theirs) as session:
        publish(connection, 1, within=session)
        session.commit()
    theirs.dispose()
    assert take(connection).payload == 1


@pytest.mark.parametrize("place", places("sqla-postgresql"), indirect=True)
def test_another_one_is_refused_with_what_to_do(place: Place) -> None:
    connection = place.connect()
    ORDERS(connection).declare()
    theirs = create_engine(place.engine.url.set(database="postgres").update_query_dict({"password": SECRET}))
    said = r"within: .*, not in database .*/postgres\?.* If they are the same, spell both URLs alike"
    with Session(theirs) as session, pytest.raises(NotSupported, match=said) as raised:
        publish(connection, 1, within=session)
    theirs.dispose()
    assert SECRET not in str(raised.value)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_a_session_with_several_databases_hands_in_the_connection(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Connection(f"sqla+sqlite:///{engine.url.database}") as connection:
        ORDERS(connection).declare()
        making = sessionmaker(binds={Order: engine})
        for sessions in (making, scoped_session(making)):
            session = sessions()
            with pytest.raises(NotSupported, match=r"within=session\.connection\(bind_arguments=") as raised:
                publish(connection, 1, within=session)
            assert "several databases" in str(raised.value)
            session.close()
        with making() as session:
            session.add(Order(id=1))
            publish(connection, 1, within=session.connection(bind_arguments={"mapper": Order}))
            session.commit()
        assert take(connection).payload == 1


def _engine(url: str) -> Engine:
    """With the driver that is installed, and the pool that goes with a memory."""
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), poolclass=StaticPool if "memory" in url else NullPool
    )
