"""Results as one HTML file: a gallery that needs no network, no server and no second file.

The file is the page (``gallery/page.html`` with its style and script inlined) around a list of data blocks, two an
image: the result as the JSON of ``--format json``, and its thumbnail as base64. The script in the page builds the
cards that are in view from these blocks, so that a page of 10,000 images holds some dozens of elements. Blocks are
written as results come; the summary, known last, is the last block.

Nothing of a result is ever written as HTML: ``<``, ``>`` and ``&`` are ``\\uXXXX`` in the JSON, and a
Content-Security-Policy allows no script and no style but the two whose hashes it names.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import IO, Any

import msgspec
from msgspec import UNSET

from imgtool.types import ImageResult

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")

# Inside JSON these characters occur in strings only, where an escape means the same.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class HtmlWriter:
    """Writes a gallery into ``out``, a text file that the caller opens and closes.

    What is written is pure ASCII, so the encoding of ``out`` does not matter. One result is held at a time.
    """

    def __init__(self, out: IO[str], title: str) -> None:
        self._out = out
        head, self._foot = _page(title).split("{{results}}")
        out.write(head)

    def write(self, result: ImageResult) -> None:
        """Add an image to the gallery; its ``thumbnail``, where it has one, must be a JPEG."""
        thumbnail = b"" if result.thumbnail is UNSET else result.thumbnail
        facts = msgspec.structs.replace(result, thumbnail=UNSET)
        self._out.write(f'<script type="application/json">{data_block(facts)}</script>\n')
        self._out.write(f'<script type="text/plain">{b64encode(thumbnail).decode("ascii")}</script>\n')

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write the end of the page. Of ``summary`` the page shows, as far as they are there: ``images``, ``answered``,
        ``partial``, ``failed``, ``hits``, ``misses``, ``hit_rate_percent``, ``wall_seconds``, ``images_per_second``.
        """
        self._out.write(self._foot.replace("{{summary}}", data_block(summary)))


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


def _page(title: str) -> str:
    """The page with everything filled in but ``{{results}}`` and ``{{summary}}``."""
    style, script = _asset("style.css"), _asset("script.js")
    parts = {
        "policy": _policy(style, script),
        # Braces too, lest a title name a placeholder.
        "title": escape(title).replace("{", "&#123;").encode("ascii", "xmlcharrefreplace").decode("ascii"),
        "style": style,
        "script": script,
    }
    return _PLACEHOLDER.sub(lambda match: parts.get(match[1], match[0]), _asset("page.html"))


def _asset(name: str) -> str:
    return (files(__package__) / "gallery" / name).read_text(encoding="ascii")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy under which only these two inline texts take effect and nothing can be fetched."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode("ascii")).digest()).decode("ascii")
