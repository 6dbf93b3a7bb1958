"""A cache keeps what was used last, whatever other threads do; a function that is memoized is called once."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from kombu.utils.functional import LRUCache, memoize


def test_what_was_not_used_longest_goes_first() -> None:
    cache: LRUCache[str, int] = LRUCache(limit=2)
    cache["a"], cache["b"] = 1, 2
    assert cache["a"] == 1
    cache["c"] = 3
    assert list(cache) == ["a", "c"]
    assert "b" not in cache
    assert cache.get("b") is None


def test_looking_whether_it_is_there_is_no_use() -> None:
    cache: LRUCache[str, int] = LRUCache(limit=2)
    cache["a"], cache["b"] = 1, 2
    assert "a" in cache
    assert dict(cache.items()) == {"a": 1, "b": 2}
    cache["c"] = 3
    assert list(cache) == ["b", "c"]


def test_writing_again_is_a_use() -> None:
    cache: LRUCache[str, int] = LRUCache(limit=2)
    cache.update(a=1, b=2)
    cache["a"] = 9
    cache.update({"c": 3})
    assert list(cache.items()) == [("a", 9), ("c", 3)]


def test_without_a_limit_all_is_kept() -> None:
    cache: LRUCache[int, int] = LRUCache()
    cache.update(zip(range(1000), range(1000), strict=True))
    assert len(cache) == 1000
    assert sum(cache.values()) == 499_500


def test_it_may_change_while_it_is_iterated_over() -> None:
    cache: LRUCache[int, int] = LRUCache()
    cache.update({1: 1, 2: 2})
    for key in cache:
        del cache[key]
    cache[3] = 3
    for key, _ in cache.items():
        cache[key + 1] = 0
    assert list(cache) == [3, 4]


def test_either_end_can_be_taken() -> None:
    cache: LRUCache[str, int] = LRUCache()
    cache.update(a=1, b=2, c=3)
    assert cache.popitem() == ("c", 3)
    assert cache.popitem(last=False) == ("a", 1)
    cache.clear()
    with pytest.raises(KeyError):
        cache.popitem()


def test_threads_that_count_lose_nothing() -> None:
    cache: LRUCache[str, int] = LRUCache(limit=10)
    cache["n"] = 0
    together = threading.Barrier(4)

    def count() -> None:
        together.wait()
        for _ in range(2000):
            cache.incr("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache["n"] == 8000
    assert cache.incr("n", -8000) == 0


def test_only_a_number_that_is_there_can_be_counted() -> None:
    cache: LRUCache[str, Any] = LRUCache()
    with pytest.raises(KeyError):
        cache.incr("n")
    cache["n"] = "some"
    with pytest.raises(ValueError, match="some"):
        cache.incr("n")


def test_it_can_be_pickled_with_its_limit_and_order() -> None:
    cache: LRUCache[str, int] = LRUCache(limit=2)
    cache.update(a=1, b=2)
    copy = pickle.loads(pickle.dumps(cache))
    copy["c"] = 3
    assert list(copy) == ["b", "c"]
    assert repr(copy) == "LRUCache({'b': 2, 'c': 3})"
    assert list(cache) == ["a", "b"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_cache_that_holds_nothing_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit={limit}"):
        LRUCache(limit)


def test_a_memoized_function_is_called_once_for_the_same_arguments() -> None:
    calls: list[tuple[int, int]] = []

    @memoize()
    def add(x: int, y: int = 0) -> int:
        """Adds."""
        calls.append((x, y))
        return x + y

    assert [add(1), add(1), add(1, y=2), add(1, y=2)] == [1, 1, 3, 3]
    assert calls == [(1, 0), (1, 2)]
    assert (add.hits, add.misses) == (2, 2)
    assert add.__doc__ == "Adds."
    assert add.original_func(2, 2) == 4


def test_forgetting_means_calling_again() -> None:
    calls: list[int] = []
    remember = memoize()(calls.append)
    remember(1)
    remember.clear()
    remember(1)
    assert calls == [1, 1]
    assert (remember.hits, remember.misses) == (0, 1)


def test_only_as_many_answers_as_asked_for_are_kept() -> None:
    calls: list[int] = []
    remember = memoize(maxsize=2)(calls.append)
    for number in (1, 2, 3, 3, 1):
        remember(number)
    assert calls == [1, 2, 3, 1]


def test_the_caller_may_say_which_calls_are_the_same() -> None:
    @memoize(keyfun=lambda args, kwargs: len(args[0]))
    def first(names: list[str]) -> str:
        return names[0]

    assert first(["a", "b"]) == first(["c", "d"]) == "a"


def test_a_method_is_memoized_for_each_instance() -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @memoize()
        def sign(self, text: str) -> str:
            return f"{self.name}: {text}"

    assert Shop("a").sign("open") == "a: open"
    assert Shop("b").sign("open") == "b: open"


def test_an_error_is_not_an_answer() -> None:
    answers = iter([ValueError("no"), 1])

    @memoize()
    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="no"):
        ask()
    assert ask() == 1


def test_arguments_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        memoize()(len)([])
