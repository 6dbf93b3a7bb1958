"""The admin's pages as those meet them who may use them: what is shown, and what there is to do."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(*permissions: str) -> Client:
    """The browser of somebody with these permissions on the library's tables."""
    user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


def listing(model: str) -> str:
    return reverse(f"admin:kombu_django_{model}_changelist")


def shown(row: Any) -> str:
    return reverse(f"admin:kombu_django_{row._meta.model_name}_change", args=[row.pk])


def act(client: Client, action: str, *rows: Any) -> HttpResponse:
    """Choose the rows and an action of their page; answers the page after it."""
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(listing(rows[0]._meta.model_name), chosen, follow=True)


def actions(client: Client, model: str) -> set[str]:
    page = client.get(listing(model)).content.decode()
    options = re.search(r'<select name="action".*?</select>', page, re.DOTALL)
    return set(re.findall(r'<option value="(\w+)"', options[0])) if options else set()


def text(page: HttpResponse) -> str:
    """What the page says, as its reader sees it."""
    return unescape(re.sub(r"<[^>]*>", "", page.content.decode()))


def cells(page: HttpResponse, *columns: str) -> dict[str, list[str]]:
    """These columns of a list, for each row by what its first column says."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", page.content.decode(), re.DOTALL):
        first = re.search(r'<th class="field-[^>]*>(.*?)</th>', row, re.DOTALL)
        if first:
            each = [re.search(rf'<td class="field-{name}[^>]*>(.*?)</td>', row, re.DOTALL) for name in columns]
            found[_words(first[1])] = [_words(cell[1]) if cell else "" for cell in each]
    return found


def _words(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).strip()
