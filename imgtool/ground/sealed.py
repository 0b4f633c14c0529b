"""JSON files that tell whether they were changed: the first key holds the SHA-256 of everything else in the file.

It protects against damage, not against people: who may write the file may also write its seal.
"""

from __future__ import annotations

import hashlib

import msgspec

from imgtool.ground.versioned import encode

_HEAD = b'{\n  "seal": "'
_TAIL = b'",'
_DIGITS = 64


def encode_sealed(record: msgspec.Struct) -> bytes:
    """``record`` as indented JSON with a seal."""
    rest = encode(record).removeprefix(b"{")
    return _HEAD + hashlib.sha256(rest).hexdigest().encode() + _TAIL + rest


def require_seal(data: bytes, first: str) -> None:
    """Check the seal of ``data``. Earlier versions wrote none: ``first`` is the key that their files begin with.

    Raises:
        ValueError: it is not what was written.
    """
    begin = len(_HEAD) + _DIGITS
    if data.startswith(_HEAD) and data[begin : begin + len(_TAIL)] == _TAIL:
        sealed = data[len(_HEAD) : begin] == hashlib.sha256(data[begin + len(_TAIL) :]).hexdigest().encode()
    else:
        sealed = data.startswith(b'{\n  "%s":' % first.encode())
    if not sealed:
        raise ValueError("it was changed since it was written")
