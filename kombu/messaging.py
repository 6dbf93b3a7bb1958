"""Producer and Consumer under the name that users of this field know."""

from __future__ import annotations

from kombu.consumer import Consumer
from kombu.producer import Batch, Producer

__all__ = ["Batch", "Consumer", "Producer"]
