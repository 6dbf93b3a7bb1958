"""What many coroutines publish at the same time goes out in one batch; each gets its own answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kombu.aio.jobs import Publishing, copies
from kombu.exceptions import ChannelError, KombuError, MessageReturned, OperationalError, PublishUncertain
from kombu.producer import came_back
from kombu.transport.base import Channel


def publish_together(jobs: Sequence[Publishing]) -> None:
    """Publish the messages of all; where that fails, the jobs have an error.

    Raises nothing: a refusal is the error of those whose messages are refused, a broker that cannot be reached
    that of all.
    """
    ready = _prepared(jobs)
    for channel, group in groupby(ready, key=lambda each: each[1]):
        _send(channel, [job for job, _ in group])


def _prepared(jobs: Sequence[Publishing]) -> list[tuple[Publishing, Channel]]:
    """Those for whom all exists that they want declared, with their channels."""
    ready = []
    for at, job in enumerate(jobs):
        try:
            ready.append((job, _declared(job)))
        except OperationalError as error:
            _fail([each for each, _ in ready] + list(jobs[at:]), error)
            return []
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            job.error = error
    return ready


def _declared(job: Publishing) -> Channel:
    producer = job.order.producer
    channel = producer.channel
    for entity in job.order.declare:
        producer.maybe_declare(entity)
    return channel


def _send(channel: Channel, jobs: Sequence[Publishing]) -> None:
    try:
        channel.publish_batch([each for job in jobs for each in job.order.publications], _patience(jobs))
    except (OperationalError, PublishUncertain) as error:
        _fail(jobs, error)
    except KombuError as error:
        if len(jobs) == 1:
            jobs[0].error = error
        elif isinstance(error, ChannelError) and error.not_stored is not None:
            _share_out(jobs, error, error.not_stored)
        else:  # one is refused: nothing of the batch is stored
            for job in jobs:
                _send(channel, [job])
    except Exception as error:  # noqa: BLE001 - raised where it is awaited
        _fail(jobs, error)


def _patience(jobs: Sequence[Publishing]) -> float | None:
    """Each caller keeps its own time; the thread is not held longer than the most patient one waits."""
    seconds = [job.order.patience for job in jobs]
    given = [each for each in seconds if each is not None]
    return max(given) if len(given) == len(seconds) else None


def _share_out(jobs: Sequence[Publishing], error: ChannelError, not_stored: Sequence[int]) -> None:
    """Each message was stored by itself, but for these."""
    begin = 0
    for job in jobs:
        end = begin + len(job.order.publications)
        own = tuple(place - begin for place in not_stored if begin <= place < end)
        if own:
            mine = type(error)(*error.args)
            mine.not_stored = own
            if isinstance(mine, MessageReturned):
                mine = came_back(mine, job.order.publications)[0][0]
                mine.not_stored = own
            mine.__cause__ = error
            job.error = mine
        begin = end


def _fail(jobs: Sequence[Publishing], error: Exception) -> None:
    for job, each in zip(jobs, copies(error, len(jobs)), strict=True):
        job.error = each
