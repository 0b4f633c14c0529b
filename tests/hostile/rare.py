"""Files that are rare and valid: every one is to be answered, with the size that its name ends with."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests import picture_files as made
from tests.picture_files import saved

_SIDES = ((1, 1), (1, 7), (7, 1), (2, 3), (17, 9), (33, 65), (100, 1), (255, 16), (257, 40), (1, 300))
_TURNS_BY_A_QUARTER = (5, 6, 7, 8)


def rare_files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``count`` files with names like ``00012-tiff-group4-17x9``; more are made by other sizes and pictures."""
    kinds = _kinds()
    for number in range(count):
        rng = random.Random(f"{seed} rare {number}")
        kind = kinds[number % len(kinds)]
        width, height = rng.choice(_SIDES)
        name, shape, content = _made(kind, width, height, rng)
        yield f"{number:05}-{name}-{shape[0]}x{shape[1]}", content


def _kinds() -> list[tuple[str, str, dict[str, object]]]:
    """Name, mode of the picture, and how Pillow is to write it; ``format`` among that."""
    kinds: list[tuple[str, str, dict[str, object]]] = []

    def add(name: str, mode: str, form: str, **options: object) -> None:
        kinds.append((name, mode, {"format": form, **options}))

    for sampling, progressive, turn in itertools.product((0, 1, 2), (False, True), (1, 2, 3, 5, 6, 8)):
        add(
            f"jpg-{sampling}-{progressive:d}-turned-{turn}",
            "RGB",
            "JPEG",
            subsampling=sampling,
            progressive=progressive,
            turn=turn,
        )
    for mode, quality in itertools.product(("L", "CMYK", "YCbCr"), (1, 50, 100)):
        add(f"jpg-{mode.lower()}-{quality}", mode, "JPEG", quality=quality, optimize=True)
    for blocks in (1, 3):
        add(f"jpg-restart-{blocks}", "RGB", "JPEG", restart_marker_blocks=blocks)
        add(f"jpg-restart-rows-{blocks}", "RGB", "JPEG", restart_marker_rows=blocks)
    add("jpg-text", "RGB", "JPEG", comment=b"\xff\xfe" * 200)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        for level in (0, 9):
            add(f"png-{mode.lower().replace(';', '-')}-{level}", mode, "PNG", compress_level=level)
    for bits in (1, 2, 4):
        add(f"png-index-{bits}", "P", "PNG", bits=bits, colours=1 << bits)
    for compression, mode in itertools.product(
        ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"),
        ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"),
    ):
        add(f"tiff-{compression}-{mode.lower().replace(';', '-')}", mode, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        add(f"tiff-{compression}", "1", "TIFF", compression=compression)
    for mode in ("F", "I", "LAB", "YCbCr"):
        add(f"tiff-{mode.lower()}", mode, "TIFF")
    for turn in range(1, 9):
        add(f"tiff-big-turned-{turn}", "RGB", "TIFF", big_tiff=True, turn=turn)
        add(f"tiff-rows-turned-{turn}", "L", "TIFF", compression="tiff_lzw", strip_size=64, turn=turn)
    add("tiff-jpeg", "RGB", "TIFF", compression="jpeg")
    add("tiff-webp", "RGB", "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    for lossless, mode, exact in itertools.product((False, True), ("RGB", "RGBA"), (False, True)):
        add(f"webp-{lossless:d}-{mode.lower()}-{exact:d}", mode, "WEBP", lossless=lossless, exact=exact, quality=40)
    for quality, sampling in itertools.product((0, 100), ("4:4:4", "4:2:2", "4:2:0", "4:0:0")):
        add(
            f"avif-{quality}-{sampling.replace(':', '')}",
            "RGB",
            "AVIF",
            quality=quality,
            subsampling=sampling,
            speed=10,
        )
    for irreversible, mode in itertools.product((False, True), ("L", "RGB", "RGBA")):
        add(f"jp2-{irreversible:d}-{mode.lower()}", mode, "JPEG2000", irreversible=irreversible, num_resolutions=1)
        add(
            f"j2k-{irreversible:d}-{mode.lower()}",
            mode,
            "JPEG2000",
            irreversible=irreversible,
            no_jp2=True,
            num_resolutions=1,
        )
    for order in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
        add(f"jp2-{order.lower()}", "RGB", "JPEG2000", progression=order, num_resolutions=1)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        add(f"bmp-{mode.lower()}", mode, "BMP")
        add(f"gif-of-{mode.lower()}", mode, "GIF", interlace=True)
        add(f"gif-plain-of-{mode.lower()}", mode, "GIF", interlace=False, comment=b"x" * 300)
    for mode in ("1", "L", "P", "RGB"):
        add(f"pcx-{mode.lower()}", mode, "PCX")
    for mode, compression in itertools.product(("L", "LA", "P", "RGB", "RGBA"), (None, "tga_rle")):
        add(f"tga-{mode.lower()}-{bool(compression):d}", mode, "TGA", compression=compression)
    for mode in ("1", "L", "I;16", "RGB", "F"):
        add(f"ppm-{mode.lower().replace(';', '-')}", mode, "PPM")
    for mode in ("RGB", "RGBA"):
        add(f"qoi-{mode.lower()}", mode, "QOI")
        add(f"jxl-{mode.lower()}", mode, "JXL", lossless=True)
        add(f"jxl-lossy-{mode.lower()}", mode, "JXL", quality=30)
    for form, mode in itertools.product(("GIF", "PNG", "WEBP", "TIFF"), ("L", "RGB")):
        add(f"{form.lower()}-frames-{mode.lower()}", mode, form, frames=5)
    return kinds


def _made(
    kind: tuple[str, str, dict[str, object]], width: int, height: int, rng: random.Random
) -> tuple[str, tuple[int, int], bytes]:
    name, mode, given = kind
    options = dict(given)
    form, turn = str(options.pop("format")), options.pop("turn", 1)
    frames, colours = options.pop("frames", 1), options.pop("colours", 256)
    assert isinstance(turn, int) and isinstance(frames, int) and isinstance(colours, int)
    if form == "TIFF" and options.get("compression") == "jpeg":
        width, height = 17, 9
    picture = _picture(mode, width, height, rng, colours)
    if turn != 1:
        exif = Image.Exif()
        exif[0x0112] = turn
        options["exif"] = exif
    if frames > 1:
        more = [_picture(mode, width, height, rng, colours) for _ in range(frames - 1)]
        options |= {"save_all": True, "append_images": more}
    if rng.random() < 0.2 and form in ("PNG", "JPEG", "WEBP", "TIFF") and mode == "RGB":
        options["icc_profile"] = made.rgb_profile(rng.choice((made.P3, made.WIDE)), rng.choice((1.0, 1.8, 2.2)))
        name += "-profile"
    shape = (height, width) if turn in _TURNS_BY_A_QUARTER else (width, height)
    return name, shape, saved(picture, form, **options)


def _picture(mode: str, width: int, height: int, rng: random.Random, colours: int) -> Image.Image:
    noise = np.random.default_rng(rng.getrandbits(32))
    smooth = np.add.outer(np.arange(height) * 5, np.arange(width) * 3)[..., None] + np.array((0, 60, 120))
    levels = ((smooth + noise.integers(0, 40, smooth.shape)) % 256).astype(np.uint8)
    rgb = Image.fromarray(levels)
    if mode == "I;16":
        return Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    if mode in ("F", "I"):
        return Image.fromarray(levels[..., 0].astype(np.float32 if mode == "F" else np.int32))
    if mode == "P":
        return rgb.quantize(colours)
    if mode in ("LA", "RGBA"):
        rgb.putalpha(Image.fromarray(noise.integers(1, 256, (height, width), np.uint8)))
    if mode == "LAB":
        return Image.frombytes("LAB", rgb.size, levels.tobytes())
    return rgb.convert(mode)
