"""Which recogniser EasyOCR uses for a set of languages, known without EasyOCR being installed.

Runs with compiled models work without EasyOCR and must still know which model reads ``ko,en``. A test compares this
table with the installed EasyOCR.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgtool.weights.errors import LanguagesRefused


@dataclass(frozen=True)
class Recogniser:
    """A recogniser of EasyOCR: its generation (which decides the network's shape) and the codes that it reads."""

    generation: str
    languages: tuple[str, ...]


_LATIN = (
    "af az bs cs cy da de en es et fr ga hr hu id is it ku la lt lv mi ms mt nl no oc pi pl pt ro rs_latin sk sl sq"
    " sv sw tl tr uz vi"
)
_CYRILLIC = "ru rs_cyrillic be bg uk mn abq ady kbd ava dar inh che lbe lez tab tjk en"
_DEVANAGARI = "hi mr ne bh mai ang bho mah sck new gom sa bgc en"

RECOGNISERS: dict[str, Recogniser] = {
    "english_g2": Recogniser("gen2", ("en",)),
    "thai_g1": Recogniser("gen1", ("th", "en")),
    "zh_tra_g1": Recogniser("gen1", ("ch_tra", "en")),
    "zh_sim_g2": Recogniser("gen2", ("ch_sim", "en")),
    "japanese_g2": Recogniser("gen2", ("ja", "en")),
    "korean_g2": Recogniser("gen2", ("ko", "en")),
    "tamil_g1": Recogniser("gen1", ("ta", "en")),
    "telugu_g2": Recogniser("gen2", ("te", "en")),
    "kannada_g2": Recogniser("gen2", ("kn", "en")),
    "bengali_g1": Recogniser("gen1", ("bn", "as", "mni", "en")),
    "arabic_g1": Recogniser("gen1", ("ar", "fa", "ug", "ur", "en")),
    "devanagari_g1": Recogniser("gen1", tuple(_DEVANAGARI.split())),
    "cyrillic_g2": Recogniser("gen2", tuple(_CYRILLIC.split())),
    "latin_g2": Recogniser("gen2", tuple(_LATIN.split())),
}
"""In the order in which EasyOCR tries them: it takes the first one that reads a language other than English."""

LANGUAGES = frozenset(code for recogniser in RECOGNISERS.values() for code in recogniser.languages)
"""Every code that some recogniser reads."""


_ALIASES = {
    "zh": "ch_sim",
    "zh_cn": "ch_sim",
    "zh_sg": "ch_sim",
    "zh_hans": "ch_sim",
    "zh_tw": "ch_tra",
    "zh_hk": "ch_tra",
    "zh_hant": "ch_tra",
    "sr": "rs_cyrillic",
    "sr_cyrl": "rs_cyrillic",
    "sr_latn": "rs_latin",
    "nb": "no",
    "fil": "tl",
}
"""Usual codes, mostly ISO 639-1, for languages for which EasyOCR has a code of its own."""


def easyocr_codes(languages: Iterable[str]) -> tuple[str, ...]:
    """``languages`` in EasyOCR's codes, each once, in the order given. Unknown codes are kept as they are."""
    plain = (language.lower().replace("-", "_") for language in languages)
    return tuple(dict.fromkeys(_ALIASES.get(code, code) for code in plain))


def with_usual_codes(codes: Iterable[str]) -> tuple[str, ...]:
    """``codes`` of EasyOCR, and after them the usual ones where they differ."""
    known = tuple(dict.fromkeys(codes))
    return (*known, *(usual.replace("_", "-") for usual, code in _ALIASES.items() if code in known))


def recogniser_for(languages: Sequence[str]) -> str:
    """The name of the recogniser that reads all of ``languages`` (EasyOCR's codes).

    Raises:
        LanguagesRefused: a language is read by none, or they cannot be read together.
    """
    if not languages:
        raise LanguagesRefused("EasyOCR needs at least one language", "give --languages, for example ko,en")
    if unknown := sorted(set(languages) - LANGUAGES):
        known = ", ".join(sorted(LANGUAGES))
        raise LanguagesRefused(f"EasyOCR does not read {', '.join(unknown)}", f"it reads {known}")
    others = set(languages) - {"en"}
    if not others:
        # EasyOCR takes its English model for exactly ["en"]; here a repeated code means the same.
        return "english_g2"
    name = next(name for name, one in RECOGNISERS.items() if others & set(one.languages))
    if extra := sorted(others - set(RECOGNISERS[name].languages)):
        readable = ", ".join(RECOGNISERS[name].languages)
        raise LanguagesRefused(
            f"EasyOCR cannot read {', '.join(extra)} together with {', '.join(sorted(others - set(extra)))}",
            f"run them apart: {name} reads {readable}",
        )
    return name


# Every language whose complete alphabet is in the recognition model's dictionary (18,708 entries) and for which its
# authors say that it was trained. The dictionary has no Hangul, Cyrillic or Thai, and lacks most tone letters of
# Vietnamese and the accented vowels of Greek.
RAPIDOCR_LANGUAGES = (
    *("en", "zh", "ja"),
    *("af", "az", "bs", "ca", "cs", "da", "de", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id", "is"),
    *("it", "ku", "la", "lb", "lt", "lv", "mi", "ms", "mt", "nl", "no", "oc", "pl", "pt", "qu", "rm", "ro", "sk"),
    *("sl", "sq", "sv", "sw", "tl", "tr"),
)
