"""Queues that give nothing out for a while."""

from __future__ import annotations

from sqlalchemy import false

from kombu_sqlalchemy.migrations.adopting import Growing, Shrinking, downgrading, upgrading
from kombu_sqlalchemy.migrations.columns import boolean

revision = "kombu_0003"
down_revision = "kombu_0002"


@upgrading
def upgrade(tables: Growing) -> None:
    tables.add("queue", boolean("paused", filled=false()))


@downgrading
def downgrade(tables: Shrinking) -> None:
    tables.remove("queue", "paused")
