"""An index of claims that PostgreSQL cannot take for one of ids, and one of those messages only that expire."""

from __future__ import annotations

from kombu_sqlalchemy.migrations.adopting import Growing, Shrinking, downgrading, upgrading
from kombu_sqlalchemy.migrations.columns import tie

revision = "kombu_0004"
down_revision = "kombu_0003"

_TURN = ("queue_id", "priority", "available_at")


@upgrading
def upgrade(tables: Growing) -> None:
    tables.replace("message", "message_claim", "message_turn", [*_TURN, tie()])
    tables.replace("message", "message_expiry", "message_expiring", ["expires_at"], "expires_at IS NOT NULL")


@downgrading
def downgrade(tables: Shrinking) -> None:
    tables.replace("message", "message_expiring", "message_expiry", ["expires_at"])
    tables.replace("message", "message_turn", "message_claim", [*_TURN, "id"])
