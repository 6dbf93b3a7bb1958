"""Helpers that know nothing of messaging; each subject has its own module."""

from __future__ import annotations

from kombu.utils.uuid import uuid

__all__ = ["uuid"]
