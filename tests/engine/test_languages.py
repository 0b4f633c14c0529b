"""Codes of languages as people write them."""

from __future__ import annotations

import pytest

from imgtool.engine.languages import plain_codes, reads
from imgtool.errors import UsageProblem
from imgtool.weights.languages import LANGUAGES


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (("EN", " Ko "), ("en", "ko")),
        (("ch_sim", "zh-CN", "zh", "chi_sim", "zh_Hans_CN"), ("ch_sim",)),
        (("zh-TW", "ch_tra"), ("zh-tw",)),
        (("en-US", "de_AT", "pt-BR"), ("en", "de", "pt")),
        (("kor", "eng", "rs_latin", "abq"), ("kor", "eng", "rs_latin", "abq")),
    ],
)
def test_codes_are_understood_however_they_are_written(written: tuple[str, ...], meant: tuple[str, ...]) -> None:
    assert plain_codes(written) == meant


def test_every_code_of_easyocr_is_one() -> None:
    assert len(plain_codes(sorted(LANGUAGES))) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("code", "near"),
    [("kr", "ko"), ("jp", "ja"), ("CN", "zh"), ("Korean", "ko"), ("japanes", "ja"), ("klingon", "ISO"), ("", "ISO")],
)
def test_a_code_that_is_none_is_refused_with_the_nearest(code: str, near: str) -> None:
    with pytest.raises(UsageProblem, match=repr(code)) as caught:
        plain_codes(["en", code])
    assert f"did you mean {near}?" in caught.value.remedy or near == "ISO"


def test_an_engine_reads_a_language_by_any_of_its_codes() -> None:
    assert reads("zh-CN", ("en", "zh"))
    assert reads("kor", ("ko",))
    assert not reads("zh-TW", ("zh",))
