"""A sealed file tells of every change in it; one of an earlier version has no seal and is read as it is."""

from __future__ import annotations

import msgspec
import pytest

from imgtool.ground.sealed import encode_sealed, require_seal
from imgtool.ground.versioned import encode


class Record(msgspec.Struct, kw_only=True):
    version: int = 1
    name: str
    sizes: dict[str, int]


RECORD = Record(name="a model", sizes={"model.onnx": 1234, "words.txt": 5})


def test_a_sealed_record_is_read_as_any_other() -> None:
    data = encode_sealed(RECORD)
    require_seal(data, "version")
    assert msgspec.json.decode(data, type=Record) == RECORD


def test_every_flipped_bit_is_seen() -> None:
    data = encode_sealed(RECORD)
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError, match="changed"):
                require_seal(bytes(changed), "version")


def test_every_cut_is_seen() -> None:
    data = encode_sealed(RECORD)
    for length in range(len(data)):
        with pytest.raises(ValueError, match="changed"):
            require_seal(data[:length], "version")


def test_what_an_earlier_version_wrote_has_no_seal() -> None:
    require_seal(encode(RECORD), "version")
    with pytest.raises(ValueError, match="changed"):
        require_seal(encode(RECORD), "schema_version")
