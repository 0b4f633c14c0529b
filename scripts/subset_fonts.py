"""Cut the fonts of the examples out of the Nanum fonts: the letters the drawings use and no more.

Needs fonttools and the original files (Debian and Ubuntu: the package ``fonts-nanum``). The cut fonts get names of
their own, because the Open Font License reserves the original ones.

    python scripts/subset_fonts.py /usr/share/fonts/truetype/nanum
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "examples" / "fonts"
SOURCES = {
    "gothic": "NanumGothic.ttf",
    "gothic-bold": "NanumGothicBold.ttf",
    "serif": "NanumMyeongjoBold.ttf",
    "mono": "NanumGothicCoding.ttf",
    "round": "NanumSquareRoundB.ttf",
}
LICENSE_NAMES = {13: "This Font Software is licensed under the SIL Open Font License, Version 1.1. See OFL.txt."}


def letters() -> str:
    """Printable ASCII and every other letter that stands in the code of the drawings."""
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "scripts").glob("*/*.py")))
    return "".join(sorted(set(string.printable[:95]) | {letter for letter in code if ord(letter) > 127}))


def rename(font: TTFont, face: str, original: str) -> None:
    """Give ``font`` a family name that is not reserved; copyright and licence stay."""
    family = f"Imgtool Examples {face.title()}"
    table = font["name"]
    kept = [record for record in table.names if record.nameID in (0, 13, 14) and record.platformID == 3]
    table.names = kept
    description = f"A subset of {original}, cut for drawing examples."
    own = {1: family, 2: "Regular", 3: f"{family} 1.0", 4: family, 6: family.replace(" ", ""), 10: description}
    for number, text in {**own, **LICENSE_NAMES}.items():
        table.setName(text, number, 3, 1, 0x409)


def cut(source: Path, target: Path, text: str) -> None:
    """Write the subset of ``source`` with the letters of ``text`` to ``target``."""
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.name_IDs = ["*"]
    options.drop_tables += ["DSIG", "GSUB", "GPOS", "GDEF", "vhea", "vmtx", "gasp", "VORG", "BASE"]
    font = TTFont(source, recalcTimestamp=False)
    subsetter = Subsetter(options)
    subsetter.populate(text=text)
    subsetter.subset(font)
    rename(font, target.stem, source.stem)
    font.save(target)


def main() -> None:
    """Cut every font of :data:`SOURCES`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the Nanum fonts lie")
    folder = parser.parse_args().folder
    TARGET.mkdir(parents=True, exist_ok=True)
    for face, name in SOURCES.items():
        target = TARGET / f"{face}.ttf"
        cut(folder / name, target, letters())
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
