"""Records of ours as JSON files that name what wrote them and the version of their schema."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

RecordT = TypeVar("RecordT", bound=msgspec.Struct)
T = TypeVar("T")


def encode(record: msgspec.Struct) -> bytes:
    """``record`` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_json(data: bytes, kind: type[T]) -> T:
    """The value of type ``kind`` that ``data`` holds as JSON.

    Raises:
        ValueError: it holds none.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def decode(data: bytes, kind: type[RecordT]) -> RecordT:
    """The record that ``data`` holds. ``kind`` has the fields ``tool`` and ``schema_version``; their defaults are what
    is read.

    Raises:
        ValueError: it is none of ``kind``, or of another version; the message says which.
    """
    expected = {field.name: field.default for field in msgspec.structs.fields(kind)}
    head: Any = read_json(data, object)
    if not isinstance(head, dict) or head.get("tool") != expected["tool"]:
        raise ValueError(f"it is not a file of {expected['tool']}")
    if (version := head.get("schema_version")) != expected["schema_version"]:
        raise ValueError(f"it has schema version {version}, and this imgtool reads {expected['schema_version']}")
    return msgspec.convert(head, kind)
