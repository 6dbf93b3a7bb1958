"""What happens to a transport when its server goes away, its connections break, or its consumers are killed.

A transport subscribes with a class in its own tests::

    @pytest.mark.server("redis")
    class TestRedis(Resilience):
        server = "redis"                     # of tests.instances: private, stopped and killed here

        def url(self, port: int) -> str:     # the server's own port, or that of a proxy in front of it
            return f"redis://127.0.0.1:{port}/0"

What else may be said, and need not be:

``options``
    A property: the transport options of all connections, for which ``lease`` and ``silence`` are here. By them the
    lease is short, and the driver gives up a server that says nothing after ``silence`` seconds: without such a limit
    a transport hangs here. The URL may say it, too (``heartbeat=1`` for AMQP).
``prepare(port)``
    Once a class, when the server runs for the first time: tables, users. A classmethod.
``ends``
    How the server is ended in the tests of restarts: ``("fast", "kill")`` unless said otherwise, and nothing for one
    that cannot keep its messages.
``doubles``
    True where a publish that is tried again may be stored twice, because the broker cannot know it again.
``counts``
    False where an ordinary queue does not count the deliveries of a message.
``forgets``
    True where a server that is killed may have forgotten acknowledgements, though no messages: RabbitMQ writes those
    to the disk a little later.
``victim_setup``
    A function, as ``"module:function"``, which a process that is to be killed calls first; ``victim_url`` is its URL
    where that is another.

``self.stack`` is an ``ExitStack`` that is closed when the test ends.

Each promise is one test: :mod:`tests.resilience.restarts`, :mod:`tests.resilience.cuts`,
:mod:`tests.resilience.deadlines` and :mod:`tests.resilience.kills`. What may befall a connection is in
:mod:`tests.resilience.troubles`; who consumes and publishes meanwhile in :mod:`tests.resilience.workers`, and what
those have seen in :mod:`tests.resilience.ledger`.
"""

from tests.resilience.case import ResilienceCase
from tests.resilience.cuts import Cuts
from tests.resilience.deadlines import Deadlines
from tests.resilience.kills import Kills
from tests.resilience.restarts import Restarts

__all__ = ["Cuts", "Deadlines", "Kills", "Resilience", "ResilienceCase", "Restarts"]


class Resilience(Restarts, Cuts, Deadlines, Kills):
    """All of it."""
