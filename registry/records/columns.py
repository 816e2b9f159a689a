"""What the records share: types of columns, names of constraints, common checks, how many values a query names.

SQLite keeps any value in any column. What cannot be of a column's type is damage, and told as such.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column

from storage.errors import IntegrityFailure

Item = TypeVar("Item")
Key = TypeVar("Key")

_NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


Document = dict[str, Any]
"""A JSON object."""
Shape = list[int]
"""The dimensions of a tensor, as JSON."""


_BATCH = 500  # well below every database's limit of bound parameters


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """``items`` in parts that one statement may name."""
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


class Known(dict[Key, Item]):
    """Records by what others call them. One that is called and is not there is damage: the schema forbids it."""

    def __missing__(self, key: Key) -> Item:
        """Raise IntegrityFailure."""
        raise IntegrityFailure(
            f"the registry is damaged: a record leads to {key!r}, which does not exist",
            hint="run `mergestore verify`, which tells what was changed",
        )


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, in and out; SQLite, which keeps no zone, stores its UTC clock time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: nobody could say which moment it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every time its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a time; IntegrityFailure where the database holds something else."""
        return checked_reader(super().result_processor(dialect, coltype), "time")


class JsonDocument(TypeDecorator[Any]):
    """A JSON object, or what other ``kind`` is said, in and out. Every database gives its text, read here."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type = dict):
        super().__init__()
        self.kind = kind

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a document; IntegrityFailure where the database holds something else, or JSON of another kind."""

        def read(text: str | None) -> Any:
            document = read_json(text)
            if text is not None and type(document) is not self.kind:
                raise TypeError(f"not of the kind {self.kind.__name__}")
            return document

        return checked_reader(read, "JSON object" if self.kind is dict else "JSON array")


class Flag(TypeDecorator[bool]):
    """Yes or no, in and out."""

    impl = Boolean
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a flag; IntegrityFailure where the database holds something else, which SQLite allows."""
        return checked_reader(lambda value: _FLAGS[value], "flag")


class Whole(TypeDecorator[int]):
    """A whole number, in and out."""

    impl = Integer
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a number; IntegrityFailure where the database holds something else, which SQLite allows."""
        return _reader_of((int,), "whole number") if dialect.name == "sqlite" else None


class Large(Whole):
    """The same of up to 64 bits."""

    impl = BigInteger
    cache_ok = True


class Real(TypeDecorator[float]):
    """A number, in and out."""

    impl = Double
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a number; IntegrityFailure where the database holds something else, which SQLite allows."""
        return _reader_of((float, int), "number") if dialect.name == "sqlite" else None


class Words(TypeDecorator[str]):
    """Text, in and out; of at most ``length`` characters, if that is said."""

    impl = Text
    cache_ok = True

    def __init__(self, length: int | None = None):
        super().__init__()
        self.length = length
        if length is not None:
            self.impl = String(length)  # type: ignore[assignment]  # an instance, as TypeDecorator makes it one

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read text; IntegrityFailure where the database holds something else, which SQLite allows."""
        return _reader_of((str,), "text") if dialect.name == "sqlite" else None


def _reader_of(kinds: tuple[type, ...], what: str) -> Callable[[Any], Any]:
    """What lets values of these kinds and NULL through; most values that are read are read by one of these."""

    def checked(value: Any) -> Any:
        if value is None or type(value) in kinds:
            return value
        raise _damaged(value, what)

    return checked


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def read_json(text: str | None) -> Any:
    """The document of a JSON text; None for none. Raises ValueError, TypeError or RecursionError for what is no JSON.

    As ``json.loads`` does, in a third of the time where nothing stands around the document.
    """
    if type(text) is str and text[:1] in ("{", "["):
        document, end = _DECODER.raw_decode(text)
        if end == len(text):
            return document
    return None if text is None else json.loads(text, parse_constant=_no_number)


_FLAGS = {0: False, 1: True, None: None}  # False and True are these numbers


def checked_reader(read: Callable[[Any], Any] | None, what: str) -> Callable[[Any], Any] | None:
    """``read``, with IntegrityFailure for a value that it cannot make sense of: a row was damaged."""
    if read is None:
        return None

    def checked(value: Any) -> Any:
        try:
            return read(value)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _damaged(value, what) from error

    return checked


def _damaged(value: Any, what: str) -> IntegrityFailure:
    hint = "run `mergestore verify`, which names the row, and restore the database from a backup"
    return IntegrityFailure(f"the registry is damaged: {value!r:.80} is no {what}", hint=hint)


class Record(DeclarativeBase):
    """Base of every record: the metadata with its naming convention and the types of columns."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own idiom
        str: Words(),
        int: Whole(),
        bool: Flag(),
        datetime: UtcDateTime(),
        float: Real(),
        Document: JsonDocument(),
        Shape: JsonDocument(list),
    }


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """The rule that a column holds one of a few words."""
    spelled = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f'"{column}" IN ({spelled})', name=column)


def is_digest(column: str) -> CheckConstraint:
    """The rule that a column holds a whole digest: seven characters of prefix and 64 of hex."""
    return CheckConstraint(f"length({column}) = 71", name=column)


def refers_to(target: str, *, primary_key: bool = False) -> MappedColumn[Any]:
    """A column that holds another row's key; that row cannot be deleted before this one."""
    key = ForeignKey(target, ondelete="RESTRICT")
    return mapped_column(key, primary_key=primary_key, autoincrement=False)
