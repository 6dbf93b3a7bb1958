"""Until when a caller wants to wait, for a store whose driver can be given a limit for each answer."""

from __future__ import annotations

from kombu.utils.deadline import LEAST, Deadline, Turns, seconds_to_wait

__all__ = ["LEAST", "Deadline", "Turns", "seconds_to_wait"]
