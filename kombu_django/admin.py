"""Admin pages: queues with what they hold, messages, the outbox, and who is consuming.

All are for looking; what changes something is an action, which the admin sends by POST and which asks for the
permission to change or to delete.
"""

from __future__ import annotations

import json
import re
import time
from codecs import utf_8_decode
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from kombu.transport.virtual.head import Head, decode_head
from kombu.transport.virtual.store import Counts
from kombu_django import chosen, outbox
from kombu_django.conf import Config, configured, get_config
from kombu_django.models import Message, Outbox, Queue, Worker
from kombu_django.store import DjangoStore

_PREVIEW = 80
_LONGEST_BODY = 20_000
_PLACE = re.compile(r" \([^()]*:\d+ in [^()]*\)$")
"""Where a handler raised, at the end of the reason that the consumer runtime gives."""


def queue_database() -> str:
    """The database whose queues the pages show: that of the first ``django://`` connection."""
    return next((config.queue_database for config in _configs() if config.queue_database), "default")


def application_database() -> str:
    """The database whose outbox and workers the pages show: that of the first connection."""
    return next((config.database for config in _configs()), "default")


def _configs() -> list[Config]:
    found = []
    for alias in configured():
        try:
            found.append(get_config(alias))
        except ImproperlyConfigured:
            continue  # `manage.py check` reports it
    return found


if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class LookOnly(_ModelAdmin):
    """A page without forms."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions that bring a message back."""
        return self._may(request, "change")

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """For actions that remove something."""
        return self._may(request, "delete")

    def _may(self, request: HttpRequest, what: str) -> bool:
        permission = f"{self.opts.app_label}.{what}_{self.opts.model_name}"
        return bool(request.user.has_perm(permission))


class QueueList(ChangeList):
    """Adds the counts of all queues on the page, read at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        queues: list[Any] = list(self.result_list)
        counts = DjangoStore(queue_database()).counts([queue.name for queue in queues])
        for queue in queues:
            queue.counted = counts.get(queue.name, Counts())
        self.result_list = queues


@admin.register(Queue)
class QueueAdmin(LookOnly):
    list_display = ("name", "ready", "delayed", "leased", "oldest", "paused", "waiting")
    list_filter = ("paused",)
    search_fields = ("name",)
    ordering = ("name",)
    actions = ("pause", "resume")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        return super().get_queryset(request).using(queue_database())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def ready(self, queue: Any) -> int:
        return int(queue.counted.ready)

    def delayed(self, queue: Any) -> int:
        return int(queue.counted.delayed)

    def leased(self, queue: Any) -> int:
        return int(queue.counted.leased)

    @admin.action(description="Pause: consumers get nothing more", permissions=["operate"])
    def pause(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        self.message_user(request, f"{_pause(queues, True)} paused")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        self.message_user(request, f"{_pause(queues, False)} resumed")

    @admin.display(description="oldest ready")
    def oldest(self, queue: Any) -> str:
        return _duration(queue.counted.oldest)

    @admin.display(description="messages")
    def waiting(self, queue: Any) -> SafeString:
        url = reverse("admin:kombu_django_message_changelist")
        return format_html('<a href="{}?queue__id__exact={}">look</a>', url, queue.pk)


class QueueFilter(admin.RelatedFieldListFilter):
    """The queues of the database that the page shows, wherever a router would look for them."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        found = Queue.objects.using(queue_database()).order_by("name")
        return [(str(queue.pk), queue.name) for queue in found]


@admin.register(Message)
class MessageAdmin(LookOnly):
    list_display = ("id", "queue", "state", "deliveries", "age", "routing_key", "short_reason", "preview")
    list_filter = (("queue", QueueFilter),)
    list_select_related = ("queue",)
    ordering = ("id",)
    show_full_result_count = False
    fields = (
        "queue",
        "state",
        "delivery_count",
        "age",
        "exchange",
        "routing_key",
        "reason",
        "deaths",
        "header",
        "text",
    )
    readonly_fields = fields
    actions = ("requeue", "discard")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).using(queue_database())

    def state(self, message: Message) -> str:
        now = time.time() * 1e6
        if message.available_at <= now:
            return "ready"
        left = _duration((message.available_at - now) / 1e6)
        return f"leased, {left} left" if message.lease_token is not None else f"delayed, {left} left"

    @admin.display(ordering="delivery_count")
    def deliveries(self, message: Message) -> int:
        return message.delivery_count

    def age(self, message: Message) -> str:
        return _duration(time.time() - message.stored_at / 1e6)

    def exchange(self, message: Message) -> str:
        return _head(message).exchange or "(default)"

    def routing_key(self, message: Message) -> str:
        return _head(message).routing_key

    @admin.display(description="dead-lettered because")
    def reason(self, message: Message) -> str:
        headers = _head(message).headers
        return str(headers.get("x-rejected-because") or headers.get("x-first-death-reason") or "")

    @admin.display(description="died because")
    def short_reason(self, message: Message) -> SafeString:
        return _breakable(_cut(_PLACE.sub("", self.reason(message)), _PREVIEW))

    @admin.display(description="x-death")
    def deaths(self, message: Message) -> SafeString:
        return _preformatted(_head(message).headers.get("x-death", []))

    @admin.display(description="properties and headers")
    def header(self, message: Message) -> SafeString:
        head = _head(message)
        headers = {name: value for name, value in head.headers.items() if name != "x-death"}
        return _preformatted({**head.properties, "content_type": head.content_type, "headers": headers})

    @admin.display(description="body")
    def text(self, message: Message) -> SafeString:
        return format_html("<pre>{}</pre>", _readable(message.body, _LONGEST_BODY))

    @admin.display(description="body")
    def preview(self, message: Message) -> SafeString:
        return _breakable(_readable(message.body, _PREVIEW))

    @admin.action(description="Requeue: deliver anew, dead letters to their own queue", permissions=["operate"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        chosen_ones = list(queryset.select_related("queue"))
        self._report(request, chosen.requeue(queue_database(), chosen_ones), len(chosen_ones), "requeued")

    @admin.action(description="Discard: remove for good", permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        chosen_ones = list(queryset.select_related("queue"))
        self._report(request, chosen.discard(queue_database(), chosen_ones), len(chosen_ones), "discarded")

    def _report(self, request: HttpRequest, done: int, wanted: int, what: str) -> None:
        level = messages.SUCCESS if done == wanted else messages.WARNING
        left = "" if done == wanted else f"; {wanted - done} left alone: in a consumer's hands, or their queue is gone"
        self.message_user(request, f"{_number(done)} {what}{left}", level)


@admin.register(Outbox)
class OutboxAdmin(LookOnly):
    list_display = ("id", "connection", "exchange", "routing_key", "state", "attempts", "age", "error", "preview")
    list_filter = ("connection",)
    ordering = ("id",)
    show_full_result_count = False
    fields = (
        "connection", "exchange", "routing_key", "key", "state", "attempts", "age", "error", "header", "text",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("try_again", "discard")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Outbox]:
        return super().get_queryset(request).using(application_database())

    def state(self, row: Outbox) -> str:
        if row.failed_at is not None:
            return "refused"
        return "waiting" if row.lease_token is None else "with a relay"

    def age(self, row: Outbox) -> str:
        return _duration(time.time() - row.stored_at / 1e6)

    @admin.display(description="properties and headers")
    def header(self, row: Outbox) -> SafeString:
        return _preformatted(json.loads(row.properties))

    @admin.display(description="body")
    def text(self, row: Outbox) -> SafeString:
        return format_html("<pre>{}</pre>", _readable(row.body, _LONGEST_BODY))

    @admin.display(description="body")
    def preview(self, row: Outbox) -> SafeString:
        return _breakable(_readable(row.body, _PREVIEW))

    @admin.action(description="Try again what the broker refused", permissions=["operate"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Outbox]) -> None:
        self.message_user(request, f"{_number(outbox.try_again(queryset))} handed to the relay again")

    @admin.action(description="Discard what the broker refused", permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Outbox]) -> None:
        removed, _ = queryset.filter(failed_at__isnull=False).delete()
        self.message_user(request, f"{_number(removed)} discarded")


@admin.register(Worker)
class WorkerAdmin(LookOnly):
    list_display = ("hostname", "pid", "connection", "queues", "running_for", "seen")
    ordering = ("hostname", "pid")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        return super().get_queryset(request).using(application_database())

    def running_for(self, worker: Worker) -> str:
        return _duration(time.time() - worker.started_at / 1e6)

    @admin.display(description="last seen")
    def seen(self, worker: Worker) -> str:
        return f"{_duration(time.time() - worker.seen_at / 1e6)} ago"


def _head(message: Message) -> Head:
    return decode_head(message.head)


def _preformatted(value: object) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _readable(body: bytes | memoryview, limit: int) -> str:
    """Text as it is, other bytes in hexadecimal; cut at ``limit`` characters."""
    content = bytes(body[: limit * 4])
    try:
        text, _ = utf_8_decode(content, "strict", len(content) == len(body))
    except UnicodeDecodeError:
        text = content[:limit].hex(" ")
    return _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def _breakable(text: str) -> SafeString:
    """Lines of a narrow column may end behind punctuation."""
    return format_html_join(SafeString("<wbr>"), "{}", ([part] for part in re.split(r"(?<=[,;:/&=])", text)))


def _number(messages: int) -> str:
    return f"{messages} message{'' if messages == 1 else 's'}"


def _pause(queues: QuerySet[Queue], paused: bool) -> str:
    store = DjangoStore(queue_database())
    done = sum(store.pause(name, paused) for name in queues.values_list("name", flat=True))
    return f"{done} queue{'' if done == 1 else 's'}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}\N{NO-BREAK SPACE}{unit}"
    return f"{max(seconds, 0):.1f}\N{NO-BREAK SPACE}s"
