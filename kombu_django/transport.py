"""``django://<database alias>``: the ORM store as a transport."""

from __future__ import annotations

import django
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured

from kombu.exceptions import InvalidURL, OperationalError
from kombu.sql import SQLStore
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import VirtualConnection
from kombu.transport.virtual.store import Store
from kombu_django.conf import DEFAULT_ALIAS


class Transport(VirtualTransport):
    """Queues in a database of ``settings.DATABASES``, which the URL's host names; ``default`` without one."""

    driver_type = "sql"
    driver_name = "django"

    def make_store(self) -> Store:
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
        return DjangoStore(alias)

    def establish_connection(self) -> VirtualConnection:
        connection = super().establish_connection()
        if isinstance(connection.store, SQLStore) and connection.store.in_transaction:
            connection.ledger.settle_delay = 0.0  # as in a test case: another thread does not see what is taken here
        return connection

    def driver_version(self) -> str:
        return django.get_version()
