"""``django://<database alias>``: the ORM store as a transport."""

from __future__ import annotations

import django
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured

from kombu.exceptions import InvalidURL, OperationalError
from kombu.sql import SQLStore
from kombu.sql.patience import read_answer_timeout
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import VirtualConnection, read_options
from kombu_django.conf import DEFAULT_ALIAS


class Transport(VirtualTransport):
    """Queues in a database of ``settings.DATABASES``, which the URL's host names; ``default`` without one.

    The transport option ``answer_timeout`` is how many seconds the server may say nothing, 30, before a connection to
    it counts as lost; the others are those of every store.
    """

    driver_type = "sql"
    driver_name = "django"

    def make_store(self) -> SQLStore:
        from django.apps import apps
        from django.db import connections

        from kombu_django.store import DjangoStore

        try:
            installed = apps.is_installed("kombu_django")
        except (ImproperlyConfigured, AppRegistryNotReady) as exc:
            raise OperationalError(
                "django:// before Django is set up: set DJANGO_SETTINGS_MODULE and call django.setup()"
            ) from exc
        if not installed:
            raise OperationalError("django:// needs 'kombu_django' in settings.INSTALLED_APPS")
        alias = self.address.hostname or DEFAULT_ALIAS
        if alias not in connections:
            known = ", ".join(sorted(connections))
            raise InvalidURL(f"django://{alias}: no such alias in settings.DATABASES, which has {known}")
        return DjangoStore(alias, self.address.connect_timeout, read_answer_timeout(self.address.options))

    def establish_connection(self) -> VirtualConnection:
        options = dict(self.address.options)
        options.pop("answer_timeout", None)
        store = self.make_store()
        connection = VirtualConnection(store, read_options(options))
        connection.open()
        if store.in_transaction:
            connection.ledger.settle_delay = 0.0  # as in a test case: another thread does not see what is taken here
        return connection

    def driver_version(self) -> str:
        return django.get_version()
