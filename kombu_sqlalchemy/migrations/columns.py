"""Columns as the revisions write them. What is here stays as it is: tables were made by it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, Identity, Integer, LargeBinary, Text
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT

from kombu_sqlalchemy.schema import Name, Tie

_MARIADB = ("mysql", "mariadb")


def key() -> Column[int]:
    """A number that is never used again."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True, autoincrement=True)


def name(name: str, length: int = 255, unique: bool = False) -> Column[str]:
    return Column(name, Name(length), nullable=False, unique=unique or None)


def number(name: str, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def boolean(name: str, filled: ColumnElement[bool] | None = None) -> Column[bool]:
    """``filled``: what the rows get that are there already."""
    return Column(name, Boolean, nullable=False, server_default=filled)


def tie() -> ColumnElement[int]:
    """Of an index: what is in the place of the id."""
    return Tie()


def integer(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def text(name: str) -> Column[str]:
    return Column(name, Text().with_variant(LONGTEXT(), *_MARIADB), nullable=False)


def binary(name: str) -> Column[Any]:
    return Column(name, LargeBinary().with_variant(LONGBLOB(), *_MARIADB), nullable=False)
