"""Where a system keeps its messages: a database of its own."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "127.0.0.1"
USER = "kombu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """``kind``: sqlite, postgresql, mariadb, rabbitmq, redis, beanstalk, sqs, mongodb, couchdb; ``name``: a
    database's, a virtual host's or a file's, or what the names of all queues begin with."""

    kind: str
    name: str
    port: int = 0
    synchronous: str = "FULL"
    """Of SQLite: FULL waits for the disk at each commit, NORMAL may forget the last ones when the power fails."""
    driver: str = ""
    """Of MariaDB: pymysql or mysqldb, which is mysqlclient."""

    def broker(self, scheme: str) -> str:
        """A broker's URL; RabbitMQ's with a user that it has from the start."""
        if self.kind == "sqs":
            return f"{scheme}://key:secret@{HOST}:{self.port}/?queue_name_prefix={self.name}-"
        if self.kind == "mongodb":
            return f"{scheme}://{HOST}:{self.port}/{self.name}?directConnection=true"
        if self.kind in ("redis", "beanstalk", "couchdb"):
            return f"{scheme}://{HOST}:{self.port}/{self.name}"
        return f"{scheme}://guest:guest@{HOST}:{self.port}/{self.name}"

    def url(self) -> str:
        """SQLAlchemy's."""
        if self.kind == "sqlite":
            return f"sqlite:///{self.name}"
        driver = {"postgresql": "postgresql+psycopg", "mariadb": f"mysql+{self.driver}"}[self.kind]
        return f"{driver}://{USER}@{HOST}:{self.port}/{self.name}"
