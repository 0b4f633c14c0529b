"""An ``easyocr`` package that holds nothing but a table of models, for machines and tests without the real one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imgtool.weights.languages import RECOGNISERS

CRAFT_URL = "https://models.invalid/releases/craft_mlt_25k.zip"
KOREAN_URL = "https://models.invalid/releases/korean_g2.zip"


def write_easyocr(folder: Path, craft: bytes, korean: bytes) -> Path:
    """Make ``folder`` importable as a place with ``easyocr``, whose table has these weights; returns ``folder``.

    As with the real one, importing the package fails here (it would need torch), and its table sets a variable.
    """
    package = folder / "easyocr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the package itself must not be imported')\n")
    detection = {"craft": _entry("craft_mlt_25k.pth", CRAFT_URL, craft)}
    recognition: dict[str, dict[str, dict[str, str]]] = {"gen1": {}, "gen2": {}}
    for name, row in RECOGNISERS.items():  # those that nobody serves are asked for by name all the same
        recognition[row.generation][name] = _entry(f"{name}.pth", f"https://models.invalid/{name}.zip", b"")
    recognition["gen2"]["korean_g2"] = _entry("korean_g2.pth", KOREAN_URL, korean)
    (package / "config.py").write_text(
        "import os\n"
        "os.environ['LRU_CACHE_CAPACITY'] = '1'\n"
        f"detection_models = {detection!r}\n"
        f"recognition_models = {recognition!r}\n"
    )
    return folder


def _entry(filename: str, url: str, content: bytes) -> dict[str, str]:
    return {"filename": filename, "url": url, "md5sum": hashlib.md5(content).hexdigest()}
