"""Codes of languages as people write them: which language is meant, and which codes mean none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache

from imgtool.errors import UsageProblem
from imgtool.weights.languages import LANGUAGES as EASYOCR
from imgtool.weights.languages import RAPIDOCR_LANGUAGES as RAPIDOCR
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.tesseract_languages import CODES, find_binary, installed_languages, tesseract_code

_MEANT = {
    "kr": "ko", "jp": "ja", "cn": "zh", "tw": "zh-tw", "hk": "zh-tw", "gr": "el", "cz": "cs", "dk": "da", "ua": "uk",
    "vn": "vi", "ir": "fa", "il": "he", "gb": "en", "us": "en", "at": "de", "se": "sv", "ee": "et",
    "korean": "ko", "english": "en", "japanese": "ja", "chinese": "zh", "german": "de", "french": "fr",
    "spanish": "es", "italian": "it", "portuguese": "pt", "russian": "ru", "arabic": "ar", "thai": "th",
    "vietnamese": "vi", "hindi": "hi", "dutch": "nl", "polish": "pl", "turkish": "tr", "swedish": "sv", "greek": "el",
    "hebrew": "he", "ukrainian": "uk", "czech": "cs", "danish": "da", "finnish": "fi", "hungarian": "hu",
}  # fmt: skip
"""Country codes and English names that people write for a language."""


def _key(plain: str) -> str:
    """One name for a language, whichever of its codes ``plain`` is."""
    return tesseract_code(easyocr_codes([plain])[0])


@cache
def _known() -> frozenset[str]:
    return frozenset(_key(code) for code in (*RAPIDOCR, *EASYOCR, *CODES))


def plain_codes(languages: Iterable[str]) -> tuple[str, ...]:
    """``languages`` in lower case and without regions that change nothing (``en-US``), each once.

    Raises:
        UsageProblem: a code means no language that any engine here could read.
    """
    found: dict[str, str] = {}
    for language in languages:
        plain = language.strip().lower().replace("-", "_")
        code = plain
        while code and _key(code) not in _known() and not _is_installed(code):
            code = code.rpartition("_")[0]
        if not code:
            raise UsageProblem(f"there is no language code {language!r}", _nearest(plain))
        found.setdefault(_key(code), code.replace("_", "-") if "_" in code and code not in EASYOCR else code)
    return tuple(found.values())


def _is_installed(code: str) -> bool:
    """Whether Tesseract has a file of that name: people train their own."""
    binary = find_binary()
    return binary is not None and code in installed_languages(binary)


def _nearest(plain: str) -> str:
    near = _MEANT.get(plain) or _MEANT.get(plain.partition("_")[0])
    if near is None and (names := get_close_matches(plain, _MEANT, n=1, cutoff=0.8)):
        near = _MEANT[names[0]]
    if near is None:
        near = next(iter(get_close_matches(plain, sorted({*RAPIDOCR, *EASYOCR}), n=1, cutoff=0.6)), None)
    codes = "codes are those of ISO 639-1: ko, en, ja, zh, de"
    return f"did you mean {near}? {codes}" if near else f"{codes}; `imgtool models` shows what can be read here"


def reads(language: str, readable: Iterable[str]) -> bool:
    """Whether ``language`` is one of the codes ``readable``, in whatever form."""
    return _key(language.replace("-", "_")) in {_key(code.replace("-", "_")) for code in readable}
