"""A pool lends what is costly to make, to one user at a time, within its limit, to those who came first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from kombu.exceptions import KombuError, LimitExceeded
from kombu.resource import PoolClosed, Resource
from tests.brokers import within_patience
from tests.memory import PATIENCE


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = 0

    def __repr__(self) -> str:
        return f"<Thing {self.number}>"

    def close(self) -> None:
        self.closed += 1


class Things(Resource[Thing]):
    """Numbers what it makes, and fails when it is told to."""

    failing: Exception | None = None
    failing_to_prepare: Exception | None = None
    failing_to_release: Exception | None = None

    def __init__(self, limit: int | None = None, preload: int | None = None) -> None:
        self.made: list[Thing] = []
        self._numbers = count(1)
        super().__init__(limit, preload)

    def new(self) -> Thing:
        if self.failing is not None:
            raise self.failing
        self.made.append(Thing(next(self._numbers)))
        return self.made[-1]

    def prepare(self, resource: Thing) -> Thing:
        if self.failing_to_prepare is not None:
            raise self.failing_to_prepare
        return resource

    def release_resource(self, resource: Thing) -> None:
        if self.failing_to_release is not None:
            raise self.failing_to_release


def waiting(pool: Things, count: int) -> None:
    """Returns when so many threads wait for a resource."""
    with pool._changed:
        assert pool._changed.wait_for(lambda: len(pool._waiting) == count, PATIENCE)


def test_what_is_given_back_is_lent_again_the_last_one_first() -> None:
    pool = Things(limit=3)
    one, two = pool.acquire(), pool.acquire()
    pool.release(one)
    pool.release(two)
    assert [pool.acquire(), pool.acquire(), pool.acquire()] == [two, one, pool.made[2]]
    assert len(pool.made) == 3


@pytest.mark.parametrize("options", [{}, {"block": False, "timeout": 60}, {"block": True, "timeout": 0.01}])
def test_a_pool_that_is_used_up_says_so(options: dict[str, float]) -> None:
    pool = Things(limit=2)
    held = [pool.acquire(), pool.acquire()]
    with pytest.raises(LimitExceeded, match="all 2 are in use"):
        within_patience(lambda: pool.acquire(**options))  # type: ignore[arg-type]
    pool.release(held[0])
    assert pool.acquire() is held[0]


def test_who_waits_gets_what_is_given_back() -> None:
    pool = Things(limit=1)
    held = pool.acquire()
    with ThreadPoolExecutor(1) as threads:
        waiter = threads.submit(pool.acquire, True)
        waiting(pool, 1)
        pool.release(held)
        assert waiter.result(PATIENCE) is held


def test_those_who_wait_are_served_in_the_order_they_came() -> None:
    pool, order = Things(limit=1), list[int]()
    held = pool.acquire()

    def use(number: int) -> None:
        thing = pool.acquire(block=True, timeout=PATIENCE)
        order.append(number)
        pool.release(thing)

    with ThreadPoolExecutor(4) as threads:
        for number in range(4):
            threads.submit(use, number)
            waiting(pool, number + 1)
        with pytest.raises(LimitExceeded):
            pool.acquire()
        pool.release(held)
    assert order == [0, 1, 2, 3]


def test_who_gives_up_waiting_is_not_in_the_way_of_others() -> None:
    pool = Things(limit=1)
    held = pool.acquire()
    with ThreadPoolExecutor(2) as threads:
        impatient = threads.submit(pool.acquire, True, 0.05)
        waiting(pool, 1)
        patient = threads.submit(pool.acquire, True, PATIENCE)
        with pytest.raises(LimitExceeded):
            impatient.result(PATIENCE)
        pool.release(held)
        assert patient.result(PATIENCE) is held


def test_the_limit_holds_among_many_threads() -> None:
    pool, using, most = Things(limit=3), list[Thing](), list[int]()
    together = threading.Barrier(12)

    def use(_: int) -> None:
        together.wait(PATIENCE)
        for _ in range(50):
            thing = pool.acquire(block=True, timeout=PATIENCE)
            assert thing not in using
            using.append(thing)
            most.append(len(using))
            using.remove(thing)
            pool.release(thing)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(use, range(12)))
    assert (len(most), max(most) <= 3, len(pool.made) <= 3) == (600, True, True)


@pytest.mark.parametrize("limit", [None, 0])
def test_without_a_limit_each_use_makes_one_and_closes_it(limit: int | None) -> None:
    pool = Things(limit)
    held = [pool.acquire() for _ in range(20)]
    for thing in held:
        pool.release(thing)
    assert [thing.closed for thing in pool.made] == [1] * 20
    assert pool.limit is limit


def test_giving_back_twice_is_harmless() -> None:
    pool = Things(limit=2)
    thing = pool.acquire()
    pool.release(thing)
    pool.release(thing)
    pool.release(Thing(99))
    assert pool.acquire() is not pool.acquire()
    with pytest.raises(LimitExceeded):
        pool.acquire()


def test_what_cannot_be_made_takes_up_no_place() -> None:
    pool = Things(limit=1)
    for error in (KombuError("no"), KeyboardInterrupt()):
        pool.failing = error  # type: ignore[assignment]
        with pytest.raises(type(error)):
            pool.acquire()
    pool.failing, pool.failing_to_prepare = None, KombuError("not ready")
    with pytest.raises(KombuError, match="not ready"):
        pool.acquire()
    pool.failing_to_prepare = None
    assert pool.acquire() is pool.made[1]
    assert pool.made[0].closed == 1


def test_what_cannot_be_given_back_in_order_is_closed() -> None:
    pool = Things(limit=1)
    thing = pool.acquire()
    pool.failing_to_release = KombuError("broken")
    with pytest.raises(KombuError, match="broken"):
        pool.release(thing)
    assert thing.closed == 1
    assert pool.acquire() is not thing


def test_a_replaced_one_makes_room_for_another() -> None:
    pool = Things(limit=1)
    broken = pool.acquire()
    pool.replace(broken)
    pool.release(broken)
    assert (broken.closed, pool.acquire() is broken) == (1, False)


def test_some_may_be_made_at_once_within_the_limit() -> None:
    wanted = [(3, 2), (2, 5), (None, 5), (3, None)]
    assert [len(Things(limit, preload).made) for limit, preload in wanted] == [2, 2, 0, 0]


def test_when_they_cannot_all_be_made_at_once_none_is_left_open() -> None:
    made: list[Thing] = []

    class OneOnly(Things):
        def new(self) -> Thing:
            if made:
                raise KombuError("no more")
            made.append(super().new())
            return made[0]

    with pytest.raises(KombuError, match="no more"):
        OneOnly(limit=3, preload=2)
    assert made[0].closed == 1


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit=-1"):
        Things(limit=-1)
    pool = Things(limit=1)
    with pytest.raises(ValueError, match="limit=-2"):
        pool.limit = -2
    assert pool.limit == 1


def test_a_pool_grows_for_those_who_wait() -> None:
    pool = Things(limit=1)
    held = pool.acquire()
    with ThreadPoolExecutor(1) as threads:
        waiter = threads.submit(pool.acquire, True, PATIENCE)
        waiting(pool, 1)
        pool.limit = 2
        assert waiter.result(PATIENCE) is not held


def test_a_pool_shrinks_by_closing_what_is_idle() -> None:
    pool = Things(limit=3, preload=3)
    held = pool.acquire()
    pool.resize(2)
    assert (sum(thing.closed for thing in pool.made), held.closed) == (1, 0)
    pool.limit = None
    assert sum(thing.closed for thing in pool.made) == 2
    pool.release(held)
    assert held.closed == 1


def test_a_pool_does_not_shrink_below_what_is_in_use_unless_forced() -> None:
    pool = Things(limit=3)
    held = [pool.acquire() for _ in range(3)]
    with pytest.raises(KombuError, match="limit=1, but 3 are in use"):
        pool.resize(1)
    assert pool.limit == 3
    pool.resize(1, force=True)
    for thing in held:
        pool.release(thing)
    assert sorted(thing.closed for thing in held) == [0, 1, 1]
    with pytest.raises(LimitExceeded):
        pool.acquire(), pool.acquire()


def test_resizing_may_begin_anew() -> None:
    pool = Things(limit=3, preload=1)
    held = pool.acquire()
    pool.resize(2, reset=True)
    assert (held.closed, len(pool.made)) == (1, 2)
    pool.release(held)
    assert pool.acquire() is pool.made[1]


def test_closing_closes_all_even_when_one_cannot_be_closed() -> None:
    class Stuck(Thing):
        def close(self) -> None:
            raise KombuError("stuck")

    pool = Things(limit=3, preload=2)
    held = pool.acquire()
    pool._idle.append(Stuck(0))
    with pytest.raises(KombuError, match="stuck"):
        pool.force_close_all()
    assert [thing.closed for thing in pool.made] == [1, 1]
    pool.release(held)
    assert held.closed == 1


def test_a_closed_pool_refuses_and_so_it_does_those_who_wait() -> None:
    pool = Things(limit=1)
    pool.acquire()
    with ThreadPoolExecutor(1) as threads:
        waiter = threads.submit(pool.acquire, True)
        waiting(pool, 1)
        pool.force_close_all()
        with pytest.raises(PoolClosed):
            waiter.result(PATIENCE)
    with pytest.raises(RuntimeError, match="make a new one"):
        pool.acquire()
    assert issubclass(PoolClosed, KombuError)


def test_what_is_made_while_the_pool_is_closed_is_closed_when_it_comes_back() -> None:
    class Slow(Things):
        def new(self) -> Thing:
            if self.made:
                self.force_close_all()
            return super().new()

    pool = Slow(limit=2)
    pool.acquire()
    late = pool.acquire()
    pool.release(late)
    assert late.closed == 1


def test_a_pool_may_stay_open_when_all_is_closed() -> None:
    with Things(limit=1) as pool:
        first = pool.acquire()
        pool.force_close_all(close_pool=False)
        assert pool.acquire() is not first
    with pytest.raises(PoolClosed):
        pool.acquire()


def test_a_pool_has_to_say_how_to_make_something() -> None:
    with pytest.raises(NotImplementedError, match="Resource"):
        Resource[Thing](limit=1).acquire()


def test_its_repr_tells_how_many_are_in_use() -> None:
    pool = Things(limit=2)
    pool.acquire()
    assert repr(pool) == "<Things 1 of 2 in use>"
    pool.force_close_all()
    assert (repr(pool), repr(Things())) == ("<Things closed>", "<Things 0 of any number in use>")
