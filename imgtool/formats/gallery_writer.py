"""Results as one HTML file: a gallery that needs no network and no server, and without the images shows thumbnails.

The file is a page (``gallery/``, with its style and script inlined) around a list of data blocks, two an image: the
result as the JSON of ``--format json``, and its thumbnail as base64 with a link to the image itself. The script in the
page builds the cards that are in view from these blocks, so that a page of 10,000 images holds some dozens of elements.
Head, images and tail are templates of their own: blocks are written as results come, and the summary, known last, is in
the tail.

Nothing of a result is ever written as HTML: ``<``, ``>`` and ``&`` are ``\\uXXXX`` in the JSON, and a
Content-Security-Policy allows no script and no style but the two whose hashes it names, and images only from the
machine or the server that the page itself comes from.
"""

from __future__ import annotations

import json
import math
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from imgtool.engine.files.words import path_of_address, real_path
from imgtool.page.template import render
from imgtool.types import ImageResult

_GALLERY = Path(__file__).with_name("gallery")

# One script of several files: they share a scope, and nothing of it is global.
_SCRIPTS = ("words.js", "entries.js", "cards.js", "lightbox.js", "controls.js")

# Inside JSON these characters occur in strings only, where an escape means the same.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class HtmlWriter:
    """Writes a gallery into ``out``, a text file that the caller opens and closes.

    ``folder`` is where the file lies: images are linked relative to it, so that the gallery can be moved together with
    them. Without it, links are absolute. What is written is pure ASCII, so the encoding of ``out`` does not matter. One
    result is held at a time.
    """

    def __init__(self, out: IO[str], title: str, folder: Path | None = None) -> None:
        self._out = out
        self._folder = None if folder is None else os.path.abspath(folder)  # noqa: PTH100 - links stay
        script = "".join((_GALLERY / name).read_text(encoding="ascii") for name in _SCRIPTS)
        head = render(
            "formats/gallery/head.html.j2",
            style=(_GALLERY / "style.css").read_text(encoding="ascii"),
            script=f'"use strict";\n(() => {{\n{script}}})();\n',
            sources={"img-src": "data: file: 'self'"},
            title=title,
        )
        out.write(head.encode("ascii", "xmlcharrefreplace").decode("ascii"))

    def write(self, result: ImageResult) -> None:
        """Add an image to the gallery; its ``thumbnail``, where it has one, must be a JPEG."""
        thumbnail = b"" if result.thumbnail is UNSET else result.thumbnail
        facts = data_block(msgspec.structs.replace(result, thumbnail=UNSET))
        encoded = b64encode(thumbnail).decode("ascii")
        original = original_of(result)
        link = None if original is None else link_to(original, self._folder)
        kept_back = original is not None and result.format == "WEBP" and has_exif(original)
        block = render(
            "formats/gallery/image.html.j2", result=facts, thumbnail=encoded, original=link, kept_back=kept_back
        )
        self._out.write(block)

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write the end of the page. Of ``summary`` the page shows, as far as they are there: ``images``, ``answered``,
        ``partial``, ``failed``, ``hits``, ``misses``, ``hit_rate_percent``, ``wall_seconds``, ``images_per_second``.
        """
        self._out.write(render("formats/gallery/tail.html.j2", summary=data_block(summary)))


def original_of(result: ImageResult) -> str | None:
    """The path of the image, absolute; ``None`` for one that was piped in."""
    if result.path == "-":
        return None
    named = None if result.uri is UNSET else path_of_address(result.uri)
    return os.path.abspath(named or real_path(result.path))  # noqa: PTH100 - links stay


def link_to(path: str, folder: str | None) -> str:
    """The address of ``path`` relative to ``folder``, percent-encoded. By its name, as a browser follows it."""
    if folder is not None:
        with suppress(ValueError):  # another drive
            return quote(os.fsencode(os.path.relpath(path, folder)).replace(os.fsencode(os.sep), b"/"))
    return Path(path).as_uri()


def has_exif(webp: str) -> bool:
    """Whether a WebP file has EXIF data. That may say how to turn the image, which browsers do not do for WebP: boxes
    would be in the wrong places. By the flags of its first chunk (RFC 9649)."""
    try:
        with open(webp, "rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return head[12:16] == b"VP8X" and len(head) == 21 and bool(head[20] & 0x08)


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
