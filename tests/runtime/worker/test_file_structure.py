"""Whether a file that ends too early was sound up to there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from imgtool.runtime.worker.file_structure import ends_before_its_end, is_sound_so_far

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


def written(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_and_every_beginning_of_it_are_sound(name: str) -> None:
    whole = written(name)
    for length in {len(whole), *range(0, len(whole), 7)}:
        assert is_sound_so_far(io.BytesIO(whole[:length]), name), length


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_something_else_behind_the_signature_is_not(name: str) -> None:
    whole = bytearray(written(name))
    start = {"PNG": 8, "JPEG": 2, "GIF": 13, "BMP": 14, "WEBP": 12}[name]
    whole[start:] = b"\x05" * (len(whole) - start)
    assert not is_sound_so_far(io.BytesIO(whole), name)


def test_formats_that_are_not_looked_into_are_taken_for_sound() -> None:
    assert is_sound_so_far(io.BytesIO(b"anything"), "TIFF")


def test_a_file_that_cannot_be_read_is_not_called_sound(tmp_path: Path) -> None:
    file = (tmp_path / "a").open("wb+")
    file.close()
    assert not is_sound_so_far(file, "PNG")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, {}) for name in ("PNG", "JPEG", "BMP", "WEBP", "AVIF", "JPEG2000", "QOI")),
        ("JPEG2000", {"no_jp2": True}),
        *(("TIFF", {"compression": how}) for how in ("tiff_lzw", "jpeg", "zstd", "packbits")),
        ("TIFF", {"compression": "tiff_lzw", "big_tiff": True}),
    ],
)
def test_a_file_without_its_end_is_told(name: str, how: dict[str, object]) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(buffer, name, **how)
    whole = buffer.getvalue()
    assert not ends_before_its_end(io.BytesIO(whole), name)
    for length in (len(whole) - 20, len(whole) // 2):
        assert ends_before_its_end(io.BytesIO(whole[:length]), name), length


def test_a_tiff_that_is_cut_within_a_value_is_incomplete_and_not_unsupported() -> None:
    from imgtool.runtime.worker.decode import DecodeError, Decoder

    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(buffer, "TIFF", compression="tiff_lzw")
    for cut in (1, 2, 20):
        with pytest.raises(DecodeError) as caught:
            Decoder(10**6).decode_bytes(buffer.getvalue()[:-cut])
        assert caught.value.problem.code == "truncated"
