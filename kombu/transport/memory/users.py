"""Who uses a queue of the in-memory transport, and when nobody will have used it for too long."""

from __future__ import annotations

import math

from kombu.transport.virtual.store import QueueSpec, User

_NEVER = math.inf


class Users:
    """The users of one queue and until when each is there. The queue's life is over at ``gone_at``."""

    def __init__(self, spec: QueueSpec, now: float) -> None:
        self._spec = spec
        self._until: dict[User, float] = {}
        life = spec.first_life
        self.gone_at = _NEVER if life is None else now + life

    def attend(self, user: User, now: float, seconds: float) -> bool:
        if self.gone_at <= now:
            return False
        if seconds:
            self.there(now)  # who was away too long has lost the place
            self._until[user] = now + seconds
        life = self._spec.unused_life
        if life is not None and seconds:
            self.gone_at = max(self._until.values()) + life
        elif life is not None:
            self.gone_at = max(self.gone_at if self.gone_at < _NEVER else 0.0, now + life)
        return True

    def leave(self, user: User, now: float) -> None:
        was_there = self._until.pop(user, None) is not None
        life = self._spec.unused_life
        if life is None or not was_there:
            return
        there = self.there(now)
        lost_last = user.consumer and self._spec.auto_delete and not any(other.consumer for other in there)
        if lost_last:
            self.gone_at = now
        elif not there:
            self.gone_at = now + life

    def there(self, now: float) -> list[User]:
        self._until = {user: until for user, until in self._until.items() if until > now}
        return list(self._until)
