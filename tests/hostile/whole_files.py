"""Small whole files of every format that is read, and of its kinds: what malformed files are made from."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests import picture_files as made
from tests.picture_files import ALPHA, DARK, GREY, HEIGHT, RGB, WIDTH, bitmap, bitmap_info, bitmap_rows, masks, saved
from tests.runtime.worker.containers.test_camera_raw import FILES as RAW_FILES
from tests.runtime.worker.containers.test_pdf import document, encrypted
from tests.runtime.worker.containers.test_tiff_parts import tiff

_DATE = time.gmtime(1_700_000_000)


def _undated(content: bytes) -> bytes:
    """Without the time of day in the headers of a film (ISO/IEC 14496-12, 8.2.2)."""
    found = bytearray(content)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = found.find(name) + 8
        found[at : at + 16] = bytes(16)
    return bytes(found)


def whole_files() -> dict[str, bytes]:
    """Name to content; the same bytes at every call."""
    import pillow_heif
    import pillow_jxl  # noqa: F401

    rgb, rgba = Image.fromarray(RGB), Image.fromarray(np.dstack((DARK, ALPHA)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pillow_heif.from_pillow(rgb).save(folder / "whole.heic")
        heic = (folder / "whole.heic").read_bytes()
        tiffs_of_parts = {
            f"tiff-of-{how}": tiff(folder / "parts.tif", (rgb, how), tile=32 * (how != 34712)).read_bytes()
            for how in (50001, 34712, 34933, 50002)
        }

    def several(name: str, **options: object) -> bytes:
        return saved(rgb.copy(), name, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)], **options)

    sixteen, indexed = Image.fromarray(GREY.astype(np.uint16) * 257), rgb.quantize(200)
    profile, exif = made.rgb_profile(made.P3, 2.2), Image.Exif()
    exif[0x0112] = 6
    cmyk = Image.fromarray(np.dstack((255 - RGB, GREY // 4)), "CMYK")
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
        "avif-animated": _undated(several("AVIF")),
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
        **tiffs_of_parts,
        "pdf-scan": several("PDF", creationDate=_DATE, modDate=_DATE),
        "pdf-text": document(b"BT /F 20 Tf 20 60 Td (HELLO 42) Tj ET"),
        "pdf-locked": encrypted(b"BT ET", b"secret"),
        "dng": made.dng(RGB),
    }
    preview = saved(rgb.resize((640, 480)), "JPEG", quality=30)
    return files | {f"raw-{kind}": make(preview) for kind, make in RAW_FILES.items()}
