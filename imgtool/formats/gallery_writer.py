"""Results as one HTML file: a gallery that needs no network, no server and no second file.

The file is a page (``gallery/``, with its style and script inlined) around a list of data blocks, two an image: the
result as the JSON of ``--format json``, and its thumbnail as base64. The script in the page builds the cards that are
in view from these blocks, so that a page of 10,000 images holds some dozens of elements. Head, images and tail are
templates of their own: blocks are written as results come, and the summary, known last, is in the tail.

Nothing of a result is ever written as HTML: ``<``, ``>`` and ``&`` are ``\\uXXXX`` in the JSON, and a
Content-Security-Policy allows no script and no style but the two whose hashes it names.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import UNSET

from imgtool.page.template import render
from imgtool.types import ImageResult

_GALLERY = Path(__file__).with_name("gallery")

# Inside JSON these characters occur in strings only, where an escape means the same.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class HtmlWriter:
    """Writes a gallery into ``out``, a text file that the caller opens and closes.

    What is written is pure ASCII, so the encoding of ``out`` does not matter. One result is held at a time.
    """

    def __init__(self, out: IO[str], title: str) -> None:
        self._out = out
        style, script = ((_GALLERY / name).read_text(encoding="ascii") for name in ("style.css", "script.js"))
        head = render("formats/gallery/head.html.j2", style=style, script=script, title=title)
        out.write(head.encode("ascii", "xmlcharrefreplace").decode("ascii"))

    def write(self, result: ImageResult) -> None:
        """Add an image to the gallery; its ``thumbnail``, where it has one, must be a JPEG."""
        thumbnail = b"" if result.thumbnail is UNSET else result.thumbnail
        facts = data_block(msgspec.structs.replace(result, thumbnail=UNSET))
        encoded = b64encode(thumbnail).decode("ascii")
        self._out.write(render("formats/gallery/image.html.j2", result=facts, thumbnail=encoded))

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write the end of the page. Of ``summary`` the page shows, as far as they are there: ``images``, ``answered``,
        ``partial``, ``failed``, ``hits``, ``misses``, ``hit_rate_percent``, ``wall_seconds``, ``images_per_second``.
        """
        self._out.write(render("formats/gallery/tail.html.j2", summary=data_block(summary)))


def data_block(value: Any) -> str:
    """JSON in ASCII that can stand inside a ``<script>`` element: neither ``</script>`` nor ``<!--`` can occur in it.

    Numbers that JSON has no word for (NaN, infinity) become ``null``. A file name that is no valid UTF-8 passes
    through: its stray surrogates are escaped like any other character.
    """
    plain = msgspec.to_builtins(value)
    try:
        text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(plain), separators=(",", ":"))
    return text.translate(_ESCAPES)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
