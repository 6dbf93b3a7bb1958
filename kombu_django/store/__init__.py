"""The ORM store: queues in a Django database, as good as a broker."""

from kombu_django.store.messages import DjangoStore

__all__ = ["DjangoStore"]
