"""HTML through Jinja2 templates, and the Content-Security-Policy of every page that imgtool writes.

Jinja2 is imported when a page is written, by no start of a command.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = Path(__file__).resolve().parents[1]


def render(
    template: str, *, style: str = "", script: str = "", sources: Mapping[str, str] | None = None, **values: object
) -> str:
    """``template``, a path within the package, filled with ``values``; all text in them is escaped.

    A template that includes ``page/head.html.j2`` has ``style`` and ``script`` inlined under a policy that allows
    these two texts, images inside the page and nothing else; ``sources`` are directives to add.
    """
    policy = {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    policy |= sources or {}
    policy |= {f"{kind}-src": _hash(text) for kind, text in (("style", style), ("script", script)) if text}
    allowed = "; ".join(f"{directive} {source}" for directive, source in policy.items())
    return _environment().get_template(template).render(values, policy=allowed, style=style, script=script)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
