"""Several Redis servers that are one: a master with replicas and sentinels, and a cluster. Made for the tests alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from tests import servers
from tests.background import eventually
from tests.instances import _free_ports as free_ports

MASTER = "kombu"
_STARTS_WITHIN = 30.0


class Node:
    """One server, in a folder of its own. ``options`` are lines of its configuration."""

    def __init__(self, folder: Path, port: int, *options: str, sentinel: bool = False) -> None:
        self.port = port
        self.password: str | None = None
        self._folder = folder / str(port)
        self._folder.mkdir()
        self._config = self._folder / "redis.conf"
        lines = [f"port {port}", f"bind {servers.HOST}", f"dir {self._folder}", 'save ""'] if not sentinel else [
            f"port {port}", f"bind {servers.HOST}", f"dir {self._folder}",
        ]  # fmt: skip
        self._config.write_text("\n".join([*lines, *options]) + "\n")
        self._sentinel = ["--sentinel"] if sentinel else []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", self._config, *self._sentinel], stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It says nothing any more, and keeps its connections."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.resume()
            self._end(signal.SIGKILL)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis(
            host=servers.HOST, port=self.port, password=self.password, socket_timeout=5, protocol=2
        ) as made:
            yield made

    def says(self, *command: str) -> Any:
        """None while it does not answer."""
        with self.client() as client, suppress(redis.RedisError):
            return client.execute_command(*command)
        return None

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)

    def _end(self, number: int) -> None:
        self._signal(number)
        if self._process is not None:
            self._process.wait(_STARTS_WITHIN)
            self._process = None


class _Group:
    def __init__(self) -> None:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="kombu-redis-"))
        self._stack.callback(shutil.rmtree, self.folder)

    def node(self, port: int, *options: str, sentinel: bool = False) -> Node:
        """Running; until the group is left."""
        made = Node(self.folder, port, *options, sentinel=sentinel)
        self._stack.callback(made.close)
        made.start()
        return made

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self) -> None:
        raise NotImplementedError

    def eventually(self, look: Callable[[], object]) -> None:
        eventually(look, [], _STARTS_WITHIN)


class Alone(_Group):
    """One server with a password, on a port, with TLS on another, and on a Unix socket."""

    server: Node
    password = "secret-p"

    def __init__(self, certificates: Path) -> None:
        super().__init__()
        self.certificates = certificates

    def begin(self) -> None:
        port, self.tls_port = free_ports(2)
        self.socket = self.folder / "redis.sock"
        self.server = self.node(
            port,
            f"requirepass {self.password}",
            f"unixsocket {self.socket}",
            f"tls-port {self.tls_port}",
            *(f"tls-{name} {self.certificates / file}" for name, file in _TLS),
            "tls-auth-clients no",
            "enable-debug-command local",
        )
        self.server.password = self.password
        self.eventually(lambda: self.server.says("PING"))

    def url(self, user: str = "", password: str = password, database: int = 0) -> str:
        return f"redis://{user}:{password}@{servers.HOST}:{self.server.port}/{database}"

    def secure_url(self) -> str:
        return f"rediss://:{self.password}@{servers.HOST}:{self.tls_port}/0"


_TLS = (("cert-file", "server.pem"), ("key-file", "server.key"), ("ca-cert-file", "ca.pem"))


class Watched(_Group):
    """A master with a replica, and three sentinels that watch them."""

    nodes: Sequence[Node]
    sentinels: Sequence[Node]

    def begin(self) -> None:
        first, second, *watching = free_ports(5)
        quick = "repl-diskless-sync-delay 0"
        master = self.node(first, quick)
        self.eventually(lambda: master.says("PING"))
        replica = self.node(second, quick, f"replicaof {servers.HOST} {first}")
        self.nodes = [master, replica]
        settings = [
            f"sentinel monitor {MASTER} {servers.HOST} {first} 2",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        self.sentinels = [self.node(port, *settings, sentinel=True) for port in watching]
        self.eventually(lambda: _follows(replica))
        for sentinel in self.sentinels:
            self.eventually(lambda each=sentinel: self._knows_all(each))

    def url(self) -> str:
        """Of all sentinels."""
        hosts = [f"sentinel://{servers.HOST}:{node.port}/0?master_name={MASTER}" for node in self.sentinels]
        return ";".join(hosts)

    def master(self) -> Node:
        """Whom the sentinels say it is."""
        address = self.sentinels[0].says("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(node for node in self.nodes if node.port == int(address[1]))

    def replica(self) -> Node:
        master = self.master()
        return next(node for node in self.nodes if node is not master)

    def _knows_all(self, sentinel: Node) -> bool:
        found = sentinel.says("SENTINEL", "MASTER", MASTER)
        known = dict(zip(found[::2], found[1::2], strict=True)) if found else {}
        return known.get(b"num-slaves") == b"1" and known.get(b"num-other-sentinels") == b"2"


class Clustered(_Group):
    """Three masters that share all slots, and where it is ``replicated`` a replica of each."""

    masters: Sequence[Node]

    def __init__(self, replicated: bool = False) -> None:
        super().__init__()
        self._replicated = replicated

    def begin(self) -> None:
        size = 6 if self._replicated else 3
        ports = free_ports(2 * size)
        places = list(zip(ports[:size], ports[size:], strict=True))
        self._size = size
        settings = ["cluster-enabled yes", "cluster-node-timeout 1000", "repl-diskless-sync-delay 0"]
        self.nodes = [self.node(port, *settings, f"cluster-port {bus}") for port, bus in places]
        self.masters, replicas = self.nodes[:3], self.nodes[3:]
        for node in self.nodes:
            self.eventually(lambda each=node: each.says("PING"))
        for node, (first, last) in zip(self.masters, [(0, 5460), (5461, 10922), (10923, 16383)], strict=True):
            node.says("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for port, bus in places[1:]:
            self.nodes[0].says("CLUSTER", "MEET", servers.HOST, str(port), str(bus))
        for node in self.nodes:
            self.eventually(lambda each=node: self._is_whole(each))
        for master, replica in zip(self.masters, replicas, strict=False):
            name = master.says("CLUSTER", "MYID").decode()
            self.eventually(lambda each=replica, name=name: each.says("CLUSTER", "REPLICATE", name))
            self.eventually(lambda each=replica: _follows(each))

    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{servers.HOST}:{node.port}" for node in self.masters)

    def master_of(self, key: bytes) -> Node:
        """Whoever has it as long as nobody has failed."""
        slot = key_slot(key)
        return self.masters[0 if slot <= 5460 else 1 if slot <= 10922 else 2]

    def keys(self, prefix: str) -> list[str]:
        found: list[bytes] = []
        for node in self.masters:
            with node.client() as client:
                found += client.scan_iter(match=f"{prefix}*", count=1000)
        return sorted(key.decode() for key in found if b":sent:" not in key)

    def _is_whole(self, node: Node) -> bool:
        info = node.says("CLUSTER", "INFO") or b""
        return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % self._size in info


def _follows(replica: Node) -> bool:
    return (replica.says("INFO", "replication") or {}).get("master_link_status") == "up"
