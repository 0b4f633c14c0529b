"""Thousands of files that are nearly images, of every format that is read: each is answered or refused in words.

``FUZZ_FILES`` and ``FUZZ_SEED`` in the environment set how many files, 300 by default, and which.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgtool.errors import ExitCode
from tests import picture_files as made
from tests.command import analyze
from tests.picture_files import ALPHA, DARK, GREY, HEIGHT, RGB, WIDTH, bitmap, bitmap_info, bitmap_rows, masks, saved
from tests.runtime.worker.containers.test_camera_raw import FILES as RAW_FILES
from tests.runtime.worker.containers.test_pdf import document, encrypted
from tests.runtime.worker.containers.test_tiff_parts import tiff

FILES, SEED = int(os.environ.get("FUZZ_FILES", "300")), int(os.environ.get("FUZZ_SEED", "1"))
CHUNK = 500
"""Files of one run: what goes wrong is found sooner, and the folder can be looked at."""

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def whole_files(folder: Path) -> dict[str, bytes]:
    """Small whole files of every format and of their kinds."""
    import pillow_heif
    import pillow_jxl  # noqa: F401

    rgb, rgba = Image.fromarray(RGB), Image.fromarray(np.dstack((DARK, ALPHA)))

    def several(name: str) -> bytes:
        return saved(rgb.copy(), name, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)])

    sixteen, indexed = Image.fromarray(GREY.astype(np.uint16) * 257), rgb.quantize(200)
    profile, exif = made.rgb_profile(made.P3, 2.2), Image.Exif()
    exif[0x0112] = 6
    cmyk = Image.fromarray(np.dstack((255 - RGB, GREY // 4)), "CMYK")
    pillow_heif.from_pillow(rgb).save(folder / "whole.heic")
    heic = (folder / "whole.heic").read_bytes()
    files = {
        "png": saved(rgb, "PNG", icc_profile=profile, exif=exif),
        "png16": made.png(np.dstack((GREY, GREY, GREY)).astype(np.uint16) * 257, 2, made.chunk(b"tRNS", b"\0" * 6)),
        "png-alpha": saved(rgba, "PNG"),
        "png-index": saved(indexed, "PNG", transparency=3),
        "apng": several("PNG"),
        "png-colours": made.png(
            RGB, 2, made.gamma(0.5), made.chromaticities(0.31, 0.33, 0.7, 0.3, 0.2, 0.8, 0.1, 0.05)
        ),
        "png-hdr": made.png(RGB, 2, made.chunk(b"cICP", bytes((9, 16, 0, 1)))),
        "jpg": saved(rgb, "JPEG", exif=exif, icc_profile=profile),
        "jpg-progressive": saved(rgb, "JPEG", progressive=True),
        "jpg-grey": saved(GREY, "JPEG"),
        "jpg-cmyk": saved(cmyk, "JPEG"),
        "mpo": several("MPO"),
        "gif": saved(indexed, "GIF"),
        "gif-animated": several("GIF"),
        "webp": saved(rgb, "WEBP", icc_profile=profile),
        "webp-lossless": saved(rgba, "WEBP", lossless=True),
        "webp-animated": several("WEBP"),
        "avif": saved(rgba, "AVIF", exif=exif),
        "avif-animated": several("AVIF"),
        "heic": heic,
        "jxl": saved(rgb, "JXL"),
        "jp2": saved(rgba, "JPEG2000"),
        "j2k": saved(sixteen, "JPEG2000", no_jp2=True),
        "bmp": saved(rgb, "BMP"),
        "bmp-index": saved(indexed, "BMP"),
        "bmp-fields": bitmap(
            bitmap_info(16, WIDTH, HEIGHT, 3, more=masks(0xF800, 0x7E0, 0x1F), length=56),
            bitmap_rows(GREY.astype("<u2"), 16),
        ),
        "bmp-rle": bitmap(
            bitmap_info(8, WIDTH, HEIGHT, 1),
            b"\x20\x10\0\4\1\2\3\4\0\2\5\0\0\0" * HEIGHT + b"\0\1",
            made.palette_bytes(made.palette(256)),
        ),
        "ico": made.icon(
            (48, 24, made.icon_bitmap(RGB[:48, :48], 24, GREY[:48, :48] // 128)),
            (48, 32, saved(np.ascontiguousarray(RGB[:48, :48]), "PNG")),
        ),
        "cur": made.icon(
            (48, 8, made.icon_bitmap(GREY[:48, :48], 8, GREY[:48, :48] // 128, made.palette_bytes(made.palette(256)))),
            kind=2,
        ),
        "ppm": saved(rgb, "PPM"),
        "pgm16": saved(sixteen, "PPM"),
        "pbm": saved(rgb.convert("1"), "PPM"),
        "pgm-text": b"P2 93 64 255 " + b" ".join(b"%d" % each for each in GREY.ravel()),
        "pfm": b"Pf\n93 64\n-1.0\n" + (GREY / 255).astype("<f4").tobytes(),
        "qoi": saved(rgba, "QOI"),
        "pcx": saved(rgb, "PCX"),
        "tga": saved(rgba, "TGA", compression="tga_rle"),
        "tga-index": saved(indexed, "TGA"),
        "tiff-pages": several("TIFF"),
        "tiff-float": saved(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"),
        "tiff-16": saved(sixteen, "TIFF"),
        "tiff-big": saved(rgb, "TIFF", big_tiff=True),
        "tiff-cmyk": saved(cmyk, "TIFF"),
        **{
            f"tiff-{how}": saved(rgb, "TIFF", compression=how)
            for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
        },
        "tiff-g4": saved(rgb.convert("1"), "TIFF", compression="group4"),
        **{
            f"tiff-of-{how}": tiff(folder / "parts.tif", (rgb, how), tile=32 * (how != 34712)).read_bytes()
            for how in (50001, 34712, 34933, 50002)
        },
        "pdf-scan": several("PDF"),
        "pdf-text": document(b"BT /F 20 Tf 20 60 Td (HELLO 42) Tj ET"),
        "pdf-locked": encrypted(b"BT ET", b"secret"),
        "dng": made.dng(RGB),
    }
    preview = saved(rgb.resize((640, 480)), "JPEG", quality=30)
    return files | {f"raw-{kind}": make(preview) for kind, make in RAW_FILES.items()}


def mutated(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Nearly the same file: bits turned, numbers that lie, cut short, pieces lost, doubled, zeroed or of another."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Most of what is read first stands at the beginning, and in TIFF and PDF at the end.
        reach = rng.choice((64, 64, 512, len(found), len(found)))
        at = (
            rng.randrange(max(1, min(reach, len(found))))
            if rng.random() < 0.8
            else max(0, len(found) - 1 - rng.randrange(512))
        )
        size = rng.choice((1, 2, 4, 16, 200, 2000))
        how = rng.randrange(8)
        if how == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            found[at : at + 1] = bytes((rng.randrange(256),))
        elif how == 2:
            value, form = rng.choice(_EDGES), rng.choice(("<H", ">H", "<I", ">I"))
            packed = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            found[at : at + len(packed)] = packed
        elif how == 3:
            del found[max(1, at) :]
        elif how == 4:
            del found[at : at + size]
        elif how == 5:
            found[at:at] = found[at : at + size]
        elif how == 6:
            found[at : at + size] = bytes(min(size, len(found) - at))
        else:
            start = rng.randrange(max(1, len(other)))
            found[at : at + size] = other[start : start + size]
    return bytes(found)


PAGES = ("auto", "all", "first")
KNOWN = {
    *("damaged", "truncated", "unsupported", "not_an_image", "empty_file", "too_many_pixels", "encrypted"),
    *("metadata_too_large", "no_such_page", "timeout", "out_of_memory"),
}
"""What a file can be refused for. That a worker ended is none of these."""


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, FILES, CHUNK))
def test_no_file_makes_an_internal_error(tmp_path: Path, start: int) -> None:
    whole = whole_files(tmp_path)
    names = sorted(whole)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(start, min(start + CHUNK, FILES)):
        rng = random.Random(f"{SEED} {number}")
        name = names[number % len(names)]
        content = mutated(whole[name], whole[rng.choice(names)], rng)
        (folder / f"{number:05}-{name}").write_bytes(content)
    options = ("-t", "caption", "--caption-engine", "describe", "--no-cache", "--pages", PAGES[start // CHUNK % 3])
    limits = ("--max-pixels", "50M", "--timeout", "30s", "--truncated", "accept" if start // CHUNK % 2 else "refuse")
    ended = analyze(*sorted(folder.iterdir()), *options, *limits, timeout=1800, PYTHONWARNINGS="default")
    assert ended.code in (ExitCode.OK, ExitCode.SOME_FAILED, ExitCode.NONE_ANSWERED), ended.err[-2000:]
    assert "internal error" not in ended.err and "Traceback" not in ended.err, ended.err[-2000:]
    results = ended.results
    assert {Path(result["path"]).name for result in results} == {path.name for path in folder.iterdir()}
    codes: Counter[str] = Counter()
    for result in results:
        error = result["error"] or (result["tasks"].get("caption") or {}).get("error")
        codes[error["code"] if error else "ok"] += 1
        if error:
            assert error["message"] and error["remedy"], result
            assert error["code"] in KNOWN, (result["path"], error)
    print(f"\n{dict(codes.most_common())}")
