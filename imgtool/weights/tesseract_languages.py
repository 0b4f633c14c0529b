"""The installed language files of Tesseract and their ISO 639-1 codes. Light, for the probe."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

_ISO = {
    "af": "afr", "am": "amh", "ar": "ara", "as": "asm", "az": "aze", "be": "bel", "bg": "bul", "bn": "ben",
    "bo": "bod", "br": "bre", "bs": "bos", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu",
    "dv": "div", "dz": "dzo", "el": "ell", "en": "eng", "eo": "epo", "es": "spa", "et": "est", "eu": "eus",
    "fa": "fas", "fi": "fin", "fo": "fao", "fr": "fra", "fy": "fry", "ga": "gle", "gd": "gla", "gl": "glg",
    "gu": "guj", "he": "heb", "hi": "hin", "hr": "hrv", "ht": "hat", "hu": "hun", "hy": "hye", "id": "ind",
    "is": "isl", "it": "ita", "iu": "iku", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz", "km": "khm",
    "kn": "kan", "ko": "kor", "ky": "kir", "la": "lat", "lb": "ltz", "lo": "lao", "lt": "lit", "lv": "lav",
    "mi": "mri", "mk": "mkd", "ml": "mal", "mn": "mon", "mr": "mar", "ms": "msa", "mt": "mlt", "my": "mya",
    "ne": "nep", "nl": "nld", "no": "nor", "oc": "oci", "or": "ori", "pa": "pan", "pl": "pol", "ps": "pus",
    "pt": "por", "qu": "que", "ro": "ron", "ru": "rus", "sa": "san", "sd": "snd", "si": "sin", "sk": "slk",
    "sl": "slv", "sq": "sqi", "sr": "srp", "su": "sun", "sv": "swe", "sw": "swa", "ta": "tam", "te": "tel",
    "tg": "tgk", "th": "tha", "ti": "tir", "tl": "tgl", "to": "ton", "tr": "tur", "tt": "tat", "ug": "uig",
    "uk": "ukr", "ur": "urd", "uz": "uzb", "vi": "vie", "yi": "yid", "yo": "yor", "zh": "chi_sim",
}  # fmt: skip

_OTHERS = {
    "zh_cn": "chi_sim",
    "zh_hans": "chi_sim",
    "ch_sim": "chi_sim",
    "zh_tw": "chi_tra",
    "zh_hk": "chi_tra",
    "zh_hant": "chi_tra",
    "ch_tra": "chi_tra",
    "rs_cyrillic": "srp",
    "rs_latin": "srp_latn",
    "nb": "nor",
}
"""Other codes in use, EasyOCR's among them."""

CODES = {**_ISO, **_OTHERS}
"""Usual codes, and what Tesseract calls these languages."""

_NO_LANGUAGES = frozenset({"osd", "equ", "snum"})
_SUFFIX = ".traineddata"


def tesseract_code(language: str) -> str:
    """Tesseract's code for ``language``; an unknown code is assumed to be Tesseract's own."""
    plain = language.lower().replace("-", "_")
    return CODES.get(plain, plain)


def spoken_names(codes: Iterable[str]) -> tuple[str, ...]:
    """Every code that a user may write for the installed ``codes``: the usual ones first, then Tesseract's."""
    installed = set(codes)
    usual = [name for name, code in CODES.items() if code in installed]
    return (*usual, *(name.replace("_", "-") for name in usual if "_" in name), *sorted(installed))


def find_binary() -> Path | None:
    """The program on the PATH, if any."""
    found = shutil.which("tesseract")
    return Path(found) if found else None


def installed_languages(binary: Path, environ: Mapping[str, str] | None = None) -> dict[str, Path | None]:
    """Tesseract's codes of the installed languages, each with its file, or ``None`` if only the program knows it.

    Looks where the program does, and asks the program (10 ms) if that finds nothing.
    """
    environ = os.environ if environ is None else environ
    for folder in _folders(binary, environ):
        found = {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}
        if languages := {code: path for code, path in found.items() if code not in _NO_LANGUAGES}:
            return dict(languages)
    return dict.fromkeys(code for code in _asked(binary) if code not in _NO_LANGUAGES)


def _folders(binary: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    if prefix := environ.get("TESSDATA_PREFIX"):
        # The program then looks nowhere else, whether there is something or not.
        yield Path(prefix)
        yield Path(prefix) / "tessdata"
        return
    share = binary.resolve().parent.parent / "share"
    yield from sorted((share / "tesseract-ocr").glob("*/tessdata"), reverse=True)
    yield share / "tesseract-ocr" / "tessdata"
    yield share / "tessdata"


@lru_cache(maxsize=4)
def _asked(binary: Path) -> tuple[str, ...]:
    try:
        asked = subprocess.run([binary, "--list-langs"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    lines = (asked.stdout or asked.stderr).splitlines()
    return tuple(line.strip() for line in lines[1:] if line.strip() and " " not in line.strip())
