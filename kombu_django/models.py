"""The tables of the shared schema; ``kombu_sqlalchemy`` makes the same ones.

All times are whole microseconds since 1970 (UTC) by the database's clock: one integer type on every database,
without time zones.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from kombu_django.fields import NameField
from kombu_django.indexes import FilledIndex, TurnIndex

NAME = 255


class Exchange(models.Model):
    """A declared exchange. The row of the default exchange, named "", carries the version of the topology."""

    name = NameField(max_length=NAME, unique=True)
    type = NameField(max_length=32, default="direct")
    durable = models.BooleanField(default=True)
    auto_delete = models.BooleanField(default=False)
    arguments = models.TextField(default="{}", help_text="JSON")
    version = models.BigIntegerField(default=0)

    class Meta:
        db_table = "kombu_exchange"

    def __str__(self) -> str:
        return self.name


class Queue(models.Model):
    """A declared queue.

    ``refuses``: it does not take messages when it is full, so that putting has to look whether it is. ``paused``: it
    takes messages, and gives none out. ``expires_at`` is when a queue that goes away by itself does so.
    """

    name = NameField(max_length=NAME, unique=True)
    durable = models.BooleanField(default=True)
    exclusive = models.BooleanField(default=False)
    auto_delete = models.BooleanField(default=False)
    arguments = models.TextField(default="{}", help_text="JSON")
    refuses = models.BooleanField(default=False)
    paused = models.BooleanField(default=False)
    expires_at = models.BigIntegerField(null=True)

    class Meta:
        db_table = "kombu_queue"

    def __str__(self) -> str:
        return self.name


class QueueUser(models.Model):
    """Somebody who uses a queue until then, unless that is renewed: a consumer, or the owner of an exclusive queue.

    The order of their ids is the order they came in.
    """

    queue = models.ForeignKey(
        Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="users"
    )
    who = NameField(max_length=2 * NAME)
    consumer = models.BooleanField(default=True)
    until = models.BigIntegerField()

    class Meta:
        db_table = "kombu_user"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["queue", "who"], name="kombu_user_once"),
        ]

    def __str__(self) -> str:
        return self.who


class Binding(models.Model):
    """From an exchange to a queue or to another exchange. ``digest`` is a SHA-256 over all that identifies it."""

    digest = NameField(max_length=64, unique=True)
    source = NameField(max_length=NAME)
    destination = NameField(max_length=NAME)
    to_exchange = models.BooleanField(default=False)
    routing_key = NameField(max_length=NAME)
    arguments = models.TextField(default="{}", help_text="JSON")

    class Meta:
        db_table = "kombu_binding"

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} ({self.routing_key})"


class Message(models.Model):
    """A message in its queue; gone once it is settled.

    ``available_at`` is the one clock: when it may next be claimed, be it published with a delay, released for a
    retry, or leased (then ``lease_token`` is set). ``due_at`` is its place in line, which a requeue restores.
    The queue is no foreign key to the database: deleting a queue must not wait for those who publish to it.
    """

    queue = models.ForeignKey(
        Queue, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="messages"
    )
    priority = models.SmallIntegerField(default=0)
    available_at = models.BigIntegerField()
    due_at = models.BigIntegerField()
    stored_at = models.BigIntegerField()
    expires_at = models.BigIntegerField(null=True)
    delivery_count = models.IntegerField(default=0)
    lease_token = models.BigIntegerField(null=True)
    head = models.TextField(help_text="JSON: exchange, routing key, properties and headers")
    body = models.BinaryField()

    class Meta:
        db_table = "kombu_message"
        indexes: ClassVar[list[models.Index]] = [
            TurnIndex(fields=["queue", "priority", "available_at", "id"], name="kombu_message_turn"),
            FilledIndex(fields=["expires_at"], name="kombu_message_expiring"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Outbox(models.Model):
    """A message that was published in a transaction and is still to be carried to its broker, in this order."""

    connection = NameField(max_length=NAME, help_text="alias in settings.KOMBU")
    exchange = NameField(max_length=NAME)
    routing_key = NameField(max_length=NAME)
    key = NameField(max_length=NAME, default="")
    mandatory = models.BooleanField(default=False)
    properties = models.TextField(help_text="JSON")
    body = models.BinaryField()
    stored_at = models.BigIntegerField()
    due_at = models.BigIntegerField(help_text="when a delayed message may be delivered")
    available_at = models.BigIntegerField(help_text="when a relay may next take it")
    lease_token = models.BigIntegerField(null=True)
    attempts = models.IntegerField(default=0)
    failed_at = models.BigIntegerField(null=True, help_text="refused by the broker: see the error")
    error = models.TextField(default="")

    class Meta:
        db_table = "kombu_outbox"
        verbose_name_plural = "outbox"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["connection", "failed_at", "id"], name="kombu_outbox_claim"),
        ]

    def __str__(self) -> str:
        return f"outbox {self.pk}"


class Inbox(models.Model):
    """A message that a queue's consumer has handled: written in the handler's transaction, so it happens once."""

    message_id = NameField(max_length=NAME)
    queue = NameField(max_length=NAME)
    received_at = models.BigIntegerField()

    class Meta:
        db_table = "kombu_inbox"
        verbose_name_plural = "inbox"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["message_id", "queue"], name="kombu_inbox_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["received_at"], name="kombu_inbox_received"),
        ]

    def __str__(self) -> str:
        return f"{self.queue}: {self.message_id}"


class Worker(models.Model):
    """Who is consuming, for people to look at. Nothing depends on it."""

    hostname = NameField(max_length=NAME)
    pid = models.IntegerField()
    connection = NameField(max_length=NAME)
    queues = models.TextField(help_text="comma separated")
    started_at = models.BigIntegerField()
    seen_at = models.BigIntegerField()

    class Meta:
        db_table = "kombu_worker"

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"
