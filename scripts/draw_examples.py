"""Draw the pictures in ``examples/images``: pixel for pixel the same with the same versions of Pillow and numpy.

python scripts/draw_examples.py                    # all of them, where they belong
python scripts/draw_examples.py --only receipt.jpg --out /tmp/drawn
python scripts/draw_examples.py --contact-sheet /tmp/all.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from drawing import papers, plates, scenes, screens, signs
from drawing.canvas import BLACK, sheet, write
from PIL import Image

IMAGES = Path(__file__).resolve().parents[1] / "examples" / "images"
Painter = Callable[[np.random.Generator], "Image.Image | list[Image.Image]"]


class Example(NamedTuple):
    """A file name, what draws it, and how it is saved."""

    name: str
    paint: Painter
    save: dict[str, Any]


def _camera() -> Image.Exif:
    """What a phone writes that was held upright while its sensor lies on its side."""
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "Example", 0x0110: "Phone 1", 0x0132: "2026:03:13 08:20:00"})
    return exif


def _stored_sideways(rng: np.random.Generator) -> Image.Image:
    return signs.lost_cat(rng).transpose(Image.Transpose.ROTATE_90)


JPEG: dict[str, Any] = {"quality": 80, "optimize": True}
PNG: dict[str, Any] = {"optimize": True}
EXAMPLES = [
    Example("aurora.avif", scenes.aurora, {"quality": 62, "speed": 6, "max_threads": 1}),
    Example("bar-chart.png", plates.bar_chart, PNG),
    Example("bokeh.jpg", scenes.bokeh, JPEG | {"progressive": True}),
    Example("dialogue.bmp", screens.dialogue, {}),
    Example("game.png", screens.game, PNG),
    Example("invoice.png", papers.invoice, PNG),
    Example("landscape.jpg", scenes.landscape, JPEG),
    Example("line-chart.png", plates.line_chart, PNG),
    Example("line-drawing.png", plates.line_drawing, PNG),
    Example("loading.gif", screens.loading, {"duration": 200, "loop": 0}),
    Example("logo.png", screens.logo, PNG),
    Example("menu-ko-en.jpg", signs.menu, JPEG),
    Example("minutes.tif", papers.minutes, {"compression": "group4", "dpi": (150, 150)}),
    Example("moon.png", scenes.moon, PNG),
    Example("night-note.jpg", papers.night_note, JPEG),
    Example("notice-ko.png", papers.notice, PNG),
    Example("panorama.jpg", scenes.panorama, JPEG | {"quality": 74}),
    Example("phone-photo.jpg", _stored_sideways, JPEG | {"exif": _camera()}),
    Example("poster-cmyk.jpg", signs.poster, JPEG),
    Example("receipt.jpg", papers.receipt, JPEG),
    Example("seaside.webp", scenes.seaside, {"quality": 76, "method": 6}),
    Example("shop-sign-ko.jpg", signs.shop_sign, JPEG),
    Example("slide.png", screens.slide, PNG),
    Example("street-sign.jpg", signs.street_sign, JPEG),
    Example("whiteboard.jpg", papers.whiteboard, JPEG),
]


def draw(example: Example, folder: Path) -> Path:
    """Draw one example into ``folder`` and return its path.

    Its name is the seed: adding, removing or reordering examples changes no other picture.
    """
    painted = example.paint(np.random.default_rng(list(example.name.encode())))
    frames = painted if isinstance(painted, list) else [painted]
    more: dict[str, Any] = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    path = folder / example.name
    frames[0].save(path, **more, **example.save)
    return path


def contact_sheet(paths: list[Path], columns: int = 5, side: int = 300) -> Image.Image:
    """All pictures small on one sheet, upright and named."""
    rows = -(-len(paths) // columns)
    board, pen = sheet((columns * side, rows * side), (150, 156, 164))
    for place, path in enumerate(paths):
        left, top = place % columns * side, place // columns * side
        small = thumbnail(path, side - 20, side - 44)
        board.paste(small, (left + (side - small.width) // 2, top + 10), small.getchannel("A"))
        write(pen, (left + side / 2, top + side - 26), path.name, "gothic", 18, BLACK, "ma")
    return board


def thumbnail(path: Path, width: int, height: int) -> Image.Image:
    """The first frame of ``path`` upright in RGBA, at most ``width`` x ``height`` pixels."""
    with Image.open(path) as image:
        oriented = image.getexif().get(0x0112) == 6
        small: Image.Image = (
            Image.fromarray(np.asarray(image) // 256).convert("L") if image.mode == "I;16" else image.copy()
        )
    small = small.convert("RGBA").transpose(Image.Transpose.ROTATE_270) if oriented else small.convert("RGBA")
    small.thumbnail((width, height), Image.Resampling.LANCZOS)
    return small


def main() -> None:
    """Draw what was asked for and say how large it is."""
    parser = argparse.ArgumentParser(description="Draw the example pictures.")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder to draw into")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[example.name for example in EXAMPLES])
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE", help="also put all of them on one sheet")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [draw(example, options.out) for example in EXAMPLES if not options.only or example.name in options.only]
    if options.contact_sheet:
        contact_sheet(paths).save(options.contact_sheet, quality=88)
    for path in paths:
        print(f"{path.stat().st_size:>8} {path}")
    print(f"{sum(path.stat().st_size for path in paths):>8} bytes in {len(paths)} files")


if __name__ == "__main__":
    main()
