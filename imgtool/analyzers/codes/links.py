"""Links to pages about a tariff code, made from templates. Nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from imgtool.parameters import LINK_PLACES

if TYPE_CHECKING:
    from imgtool.analyzers.codes.hs.find import HsCode

_PLACE = re.compile("|".join(re.escape("{" + name + "}") for name in LINK_PLACES))


def make_links(code: HsCode, templates: Iterable[str]) -> tuple[str, ...]:
    """One address for each template, with the places of ``imgtool.parameters.LINK_PLACES`` filled in."""
    values = {
        "{code}": code.digits,
        "{hs}": code.hs,
        "{dotted}": f"{code.hs[:4]}.{code.hs[4:]}".rstrip("."),
        "{national}": code.national,
        "{chapter}": code.hs[:2],
        "{heading}": code.hs[:4],
    }
    return tuple(_PLACE.sub(lambda found: values[found[0]], template) for template in templates)
