"""The admin in a real browser: an operator finds a dead letter, reads why, and sends it back to its queue.

KOMBU_SCREENSHOTS names a folder for pictures of the pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test.testcases import LiveServerThread
from playwright.sync_api import Page, sync_playwright

from kombu import Exchange, Message, Queue
from kombu_django import consumer, publish
from kombu_django.conf import get_config
from kombu_django.registry import registry
from kombu_django.store import DjangoStore
from kombu_django.workers import Presence
from tests import servers
from tests.flows import carry, consume

pytestmark = pytest.mark.server("chromium")

PATIENCE = 10_000
"""Milliseconds in which a page or a text on it is there."""

shop = Exchange("shop", "topic")


class OutOfStock(Exception):
    """Why the handler of ``orders`` refuses a message."""


@pytest.fixture
def busy_shop(tables: None, registered: None) -> Iterator[None]:
    """Messages in every state, an outbox with one that was refused, a worker, and an operator, "root"."""

    @consumer(Queue("orders", shop, routing_key="order.*"), retries=0)
    def orders(body: Any, message: Message) -> None:
        raise OutOfStock(f"no {body['item']} left")

    @consumer(Queue("audit", shop, routing_key="#"))
    def audit(body: Any, message: Message) -> None: ...

    order(1, "unicorn")
    order(2, "<script>document.title = 'hacked'</script>")
    consume()
    for number in range(3, 8):
        order(number, "book")
    order(8, "book", delay=3600)
    DjangoStore("default").claim({"audit": 2}, 60.0)
    publish({"id": 9}, exchange="shpo", routing_key="order.created", using="far")
    carry()
    publish({"id": 10}, exchange="shop", routing_key="order.created", using="far")
    User.objects.create_superuser("root", password="root")
    with Presence(get_config(), registry.handlers()):
        yield
    User.objects.all().delete()


@pytest.fixture
def site(busy_shop: None) -> Iterator[str]:
    """The address of the running site."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.start()
    server.is_ready.wait()
    assert server.error is None
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    """A browser's page, logged in.

    While it is open, Django takes this thread for an asynchronous one: no database until it is closed.
    """
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=servers.chromium(), args=arguments)
        opened = browser.new_page(viewport={"width": 1400, "height": 800})
        opened.set_default_timeout(PATIENCE)
        opened.goto(f"{site}/admin/")
        opened.fill("#id_username", "root")
        opened.fill("#id_password", "root")
        follow(opened, "input[type=submit]")
        yield opened
        browser.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("KOMBU_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_an_operator_reads_why_a_message_died_and_sends_it_back(page: Page, pictures: Path) -> None:
    follow(page, "text=Queues")
    assert counts(page, "orders.dead") == ["2", "0", "0"]
    assert counts(page, "audit") == ["3", "1", "2"]
    page.screenshot(path=pictures / "queues.png")

    follow(page, "tr:has-text('orders.dead') >> text=look")
    assert page.locator("#result_list tbody tr").count() == 2
    page.screenshot(path=pictures / "messages.png")

    follow(page, "tr:has-text('unicorn') th a")
    assert "OutOfStock: no unicorn left" in page.inner_text(".field-reason")
    assert page.title().startswith("message")
    page.screenshot(path=pictures / "dead-letter.png", full_page=True)

    page.go_back()
    page.check("tr:has-text('unicorn') input[type=checkbox]")
    page.select_option("select[name=action]", "requeue")
    page.screenshot(path=pictures / "requeue.png")
    follow(page, "button[name=index]")
    assert page.inner_text(".messagelist") == "1 message requeued"
    page.screenshot(path=pictures / "requeued.png")
    assert page.locator("#result_list tbody tr").count() == 1

    follow(page, "text=Queues")
    assert counts(page, "orders.dead") == ["1", "0", "0"]
    assert counts(page, "orders") == ["6", "1", "0"]


def test_a_hostile_message_is_harmless_in_a_browser(page: Page, pictures: Path) -> None:
    follow(page, "text=Messages")
    assert "hacked" not in page.title()
    page.screenshot(path=pictures / "all-messages.png")
    follow(page, "tr:has-text('OutOfStock'):has-text('hacked') th a")
    assert "<script>document.title = 'hacked'</script>" in page.inner_text(".field-text")
    assert "hacked" not in page.title()
    page.screenshot(path=pictures / "hostile.png", full_page=True)


def test_an_operator_sees_what_the_broker_refused_and_discards_it(page: Page, pictures: Path) -> None:
    follow(page, "text=Outbox")
    page.screenshot(path=pictures / "outbox.png")
    follow(page, "tr:has-text('refused') th a")
    assert "no exchange 'shpo'" in page.inner_text(".field-error")
    page.screenshot(path=pictures / "refused.png", full_page=True)
    page.go_back()
    page.check("#action-toggle")
    page.select_option("select[name=action]", "discard")
    follow(page, "button[name=index]")
    assert page.inner_text(".messagelist") == "1 message discarded"
    assert page.locator("#result_list tbody tr").count() == 1
    follow(page, "text=Workers")
    assert page.inner_text("#result_list .field-queues") == "orders, audit"
    page.screenshot(path=pictures / "workers.png")


def follow(page: Page, selector: str) -> None:
    """Click, and be on the page that it leads to."""
    with page.expect_navigation():
        page.click(selector)


def order(number: int, item: str, **options: Any) -> None:
    publish({"id": number, "item": item}, exchange="shop", routing_key="order.created", **options)


def counts(page: Page, queue: str) -> list[str]:
    """Ready, delayed and leased, as the list of queues shows them."""
    row = page.locator("#result_list tbody tr", has=page.get_by_role("link", name=queue, exact=True))
    return [row.locator(f".field-{name}").inner_text() for name in ("ready", "delayed", "leased")]
