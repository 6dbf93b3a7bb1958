"""Every identifier is a random UUID that nobody else has: no other thread, and no forked process."""

from __future__ import annotations

import os
import random
import threading
from uuid import RFC_4122, UUID

import pytest

from kombu.utils.uuid import uuid


def test_it_is_the_canonical_text_of_a_random_uuid() -> None:
    for text in (uuid() for _ in range(1000)):
        parsed = UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, RFC_4122)


def test_every_random_bit_is_used() -> None:
    """None of the 122 bits is the same in a thousand; the six that say version and variant are."""
    always, ever = (1 << 128) - 1, 0
    for _ in range(1000):
        always, ever = always & UUID(uuid()).int, ever | UUID(uuid()).int
    assert always == 0x4 << 76 | 0x8 << 60
    assert ever == (1 << 128) - 1 ^ (0xB << 76 | 0x4 << 60)


def test_a_program_that_seeds_its_dice_gets_other_identifiers() -> None:
    random.seed(1)
    first = [uuid() for _ in range(300)]
    random.seed(1)
    assert not set(first) & {uuid() for _ in range(300)}


def test_threads_never_get_the_same() -> None:
    together = threading.Barrier(8)
    made: list[list[str]] = []

    def make() -> None:
        together.wait()
        made.append([uuid() for _ in range(5000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set().union(*made)) == 8 * 5000


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_gets_others_than_its_parent_and_its_siblings() -> None:
    uuid()  # so that there are some in store
    seen: list[str] = []
    for _ in range(3):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, " ".join(uuid() for _ in range(50)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            seen += pipe.read().split()
        assert os.waitpid(child, 0)[1] == 0
    seen += [uuid() for _ in range(200)]
    assert len(seen) == len(set(seen)) == 350
