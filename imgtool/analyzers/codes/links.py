"""Where more can be read about a tariff code: addresses made from templates. Nothing is ever fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgtool.analyzers.codes.hs.find import HsCode

DEFAULT = ("https://hts.usitc.gov/search?query={dotted}", "https://www.trade-tariff.service.gov.uk/headings/{heading}")
"""The tariffs of the United States and of the United Kingdom, whose first six digits are everybody's."""

PLACES = {
    "code": "all digits: 8471300100",
    "hs": "the six digits that all countries share: 847130",
    "dotted": "the same with a dot: 8471.30",
    "national": "the digits after them: 0100",
    "chapter": "the first two: 84",
    "heading": "the first four: 8471",
}
"""What may stand in braces in a template, and what is put there."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-]+(?::[0-9]+)?(?:[/?#][^\s\"'<>\\]*)?", re.IGNORECASE)


def check_template(template: str) -> str:
    """``template``, if addresses can be made from it.

    Raises:
        ValueError: it is no http or https address, or has something in braces that is not in :data:`PLACES`.
    """
    unknown = [name for name in _PLACE.findall(template) if name not in PLACES]
    if unknown or not _PLACE.search(template):
        known = ", ".join("{" + name + "}" for name in PLACES)
        wrong = f"{{{unknown[0]}}} in {template!r} is not" if unknown else f"{template!r} has not"
        raise ValueError(f"{wrong} one of {known}")
    if not _ADDRESS.fullmatch(_PLACE.sub("0", template)):
        raise ValueError(f"{template!r} is not an address that begins with https:// or http://")
    return template


def make_links(code: HsCode, templates: Iterable[str]) -> tuple[str, ...]:
    """The addresses for ``code``, one a template."""
    values = {
        "code": code.digits,
        "hs": code.hs,
        "dotted": f"{code.hs[:4]}.{code.hs[4:]}".rstrip("."),
        "national": code.national,
        "chapter": code.hs[:2],
        "heading": code.hs[:4],
    }
    return tuple(_PLACE.sub(lambda found: values[found[1]], template) for template in templates)
