"""Who uses a queue, and queues that refuse or go away."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint, false

from kombu_sqlalchemy.migrations.adopting import Growing, Shrinking, downgrading, upgrading
from kombu_sqlalchemy.migrations.columns import boolean, key, name, number

revision = "kombu_0002"
down_revision = "kombu_0001"


@upgrading
def upgrade(tables: Growing) -> None:
    tables.add("queue", number("expires_at", nullable=True))
    tables.add("queue", boolean("refuses", filled=false()))
    tables.create(
        "user",
        key(),
        number("queue_id"),
        name("who", 510),
        boolean("consumer"),
        number("until"),
        UniqueConstraint("queue_id", "who", name="user_once"),
    )


@downgrading
def downgrade(tables: Shrinking) -> None:
    tables.drop("user")
    tables.remove("queue", "refuses")
    tables.remove("queue", "expires_at")
