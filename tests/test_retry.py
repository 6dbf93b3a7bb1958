"""Retries wait as their policy says, and end when the retries or the time end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest

from kombu.retry import RetryPolicy, retry, retry_over_time

STEADY = RetryPolicy(interval_start=2, interval_step=2, interval_max=5, jitter=0)


@dataclass
class Clock:
    """A clock that only a sleep moves."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Flaky:
    """Fails so many times, then gives its arguments back."""

    failures: int
    error: type[Exception] = OSError
    calls: int = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(self.calls)
        return args, kwargs


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_call_that_works_is_called_once(clock: Clock) -> None:
    assert retry(lambda: 42, catch=OSError, policy=STEADY, sleep=clock.sleep, clock=clock) == 42
    assert clock.slept == []


def test_waits_grow_by_a_step_up_to_the_ceiling(clock: Clock) -> None:
    retry(Flaky(4), catch=OSError, policy=STEADY, sleep=clock.sleep, clock=clock)
    assert clock.slept == [2, 4, 5, 5]


def test_an_error_that_was_not_named_goes_straight_to_the_caller(clock: Clock) -> None:
    call = Flaky(1, KeyError)
    with pytest.raises(KeyError):
        retry(call, catch=(OSError, ValueError), policy=STEADY, sleep=clock.sleep, clock=clock)
    assert call.calls == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_last_error_is_raised_when_the_retries_are_used_up(retries: int, clock: Clock) -> None:
    policy = RetryPolicy(max_retries=retries, jitter=0)
    call = Flaky(10)
    with pytest.raises(OSError, match=f"^{retries + 1}$"):
        retry(call, catch=OSError, policy=policy, sleep=clock.sleep, clock=clock)
    assert call.calls == retries + 1
    assert len(clock.slept) == retries


def test_a_wait_never_passes_the_deadline_and_one_last_attempt_follows(clock: Clock) -> None:
    call = Flaky(10)
    with pytest.raises(OSError, match=r"^4$"):
        retry(call, catch=OSError, policy=STEADY, timeout=7, sleep=clock.sleep, clock=clock)
    assert clock.slept == [2, 4, 1]


def test_a_slow_call_is_not_repeated_after_the_deadline(clock: Clock) -> None:
    def slow() -> None:
        clock.now += 10
        raise OSError("slow")

    with pytest.raises(OSError, match="slow"):
        retry(slow, catch=OSError, policy=STEADY, timeout=5, sleep=clock.sleep, clock=clock)
    assert clock.slept == []


def test_time_spent_in_on_error_counts(clock: Clock) -> None:
    def hear(exc: Exception, seconds: float) -> None:
        clock.now += 9

    with pytest.raises(OSError, match=r"^2$"):
        retry(Flaky(9), catch=OSError, policy=STEADY, timeout=9, on_error=hear, sleep=clock.sleep, clock=clock)
    assert clock.slept == []


def test_on_error_hears_of_every_failure_that_is_followed_by_an_attempt(clock: Clock) -> None:
    heard: list[tuple[str, float]] = []
    policy = RetryPolicy(max_retries=2, interval_start=1, interval_step=1, jitter=0)
    with pytest.raises(OSError):
        retry(
            Flaky(9),
            catch=OSError,
            policy=policy,
            on_error=lambda exc, seconds: heard.append((str(exc), seconds)),
            sleep=clock.sleep,
            clock=clock,
        )
    assert heard == [("1", 1), ("2", 2)]


def test_jitter_only_shortens_a_wait() -> None:
    policy = RetryPolicy(interval_start=10, interval_step=0, jitter=0.5)
    assert policy.delay(1, lambda: 0.0) == 10
    assert policy.delay(1, lambda: 0.5) == 7.5
    assert policy.delay(1, lambda: 1.0) == 5
    assert all(5 <= policy.delay(n) <= 10 for n in range(1, 100))


def test_a_policy_has_as_many_delays_as_retries() -> None:
    assert list(RetryPolicy(max_retries=3, jitter=0).delays()) == [0.5, 1.5, 2.5]
    assert list(RetryPolicy(max_retries=0).delays()) == []
    assert list(islice(STEADY.delays(), 5)) == [2, 4, 5, 5, 5]


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"interval_start": -1},
        {"interval_step": float("nan")},
        {"interval_max": -0.1},
        {"jitter": 1.1},
        {"jitter": -0.1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RetryPolicy(**options)  # type: ignore[arg-type]


def test_retry_over_time_passes_the_arguments_on(clock: Clock) -> None:
    result = retry_over_time(Flaky(3), OSError, ("a",), {"b": 1}, sleep=clock.sleep, clock=clock)
    assert result == (("a",), {"b": 1})
    assert clock.slept == [2, 4, 6]


def test_errback_may_say_how_long_to_sleep(clock: Clock) -> None:
    heard: list[int] = []

    def errback(exc: Exception, intervals: Iterator[float], retries: int) -> float:
        heard.append(retries)
        return next(intervals) * 10

    retry_over_time(Flaky(3), OSError, errback=errback, interval_max=5, sleep=clock.sleep, clock=clock)
    assert heard == [0, 1, 2]
    assert clock.slept == [20, 40, 50]


def test_what_errback_asks_for_ends_at_the_deadline_too(clock: Clock) -> None:
    with pytest.raises(OSError, match=r"^2$"):
        retry_over_time(Flaky(9), OSError, errback=lambda *_: 1000, timeout=3, sleep=clock.sleep, clock=clock)
    assert clock.slept == [3]


def test_an_errback_that_says_nothing_leaves_the_interval(clock: Clock) -> None:
    def errback(exc: Exception, intervals: Iterator[float], retries: int) -> None:
        next(intervals)

    retry_over_time(Flaky(2), OSError, errback=errback, max_retries=2, sleep=clock.sleep, clock=clock)
    assert clock.slept == [2, 4]


def test_callback_is_called_every_second_of_a_wait(clock: Clock) -> None:
    called_at: list[float] = []
    retry_over_time(
        Flaky(1),
        OSError,
        interval_start=2.5,
        callback=lambda: called_at.append(clock.now),
        sleep=clock.sleep,
        clock=clock,
    )
    assert called_at == [100, 101, 102]
    assert clock.slept == [1, 1, 0.5]


def test_callback_may_end_the_wait(clock: Clock) -> None:
    class Stop(Exception):
        pass

    def callback() -> None:
        if clock.now >= 102:
            raise Stop

    with pytest.raises(Stop):
        retry_over_time(Flaky(9), OSError, interval_start=30, callback=callback, sleep=clock.sleep, clock=clock)
    assert clock.now == 102
