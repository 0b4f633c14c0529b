"""Names, languages and what a safetensors file must look like."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.weights import easyocr_table
from imgtool.weights.catalogue import CATALOGUE, Kind, easyocr_models, find
from imgtool.weights.errors import FileRefused, LanguagesRefused, UnknownModel
from imgtool.weights.languages import LANGUAGES, RECOGNISERS, recogniser_for
from imgtool.weights.places import easyocr_folder, hub_cache
from imgtool.weights.safetensors import check_safetensors
from tests.fakes.hub import noise, safetensors


def test_names_aliases_and_pins() -> None:
    assert find("blip") is find("blip-base") is find("Salesforce/blip-image-captioning-base")
    assert find("blip@abc1234").revision == "abc1234"
    assert find("blip@abc1234").pinned
    assert not find("blip").pinned
    assert [spec.name for spec in easyocr_models(("ko", "en"))] == ["craft", "korean_g2"]
    assert all(spec.licence and spec.size_bytes for spec in CATALOGUE.values())


@pytest.mark.parametrize(
    ("name", "hint"), [("blip-bas", "blip-base"), ("easyocrr", "easyocr"), ("zzzz", "known models")]
)
def test_an_unknown_name_gets_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        find(name)
    assert hint in caught.value.remedy


def test_easyocr_has_no_revisions_to_pin() -> None:
    with pytest.raises(UnknownModel, match="no revisions"):
        find("craft@v1")


@pytest.mark.parametrize(
    ("languages", "name"),
    [
        (("en",), "english_g2"),
        (("ko", "en"), "korean_g2"),
        (("de", "fr", "en"), "latin_g2"),
        (("ru", "en"), "cyrillic_g2"),
        (("hi", "mr"), "devanagari_g1"),
        (("ch_sim", "en"), "zh_sim_g2"),
        (("ar", "fa"), "arabic_g1"),
    ],
)
def test_the_recogniser_of_a_set_of_languages(languages: tuple[str, ...], name: str) -> None:
    assert recogniser_for(languages) == name


@pytest.mark.parametrize(
    ("languages", "words"),
    [(("ko", "ja"), "together"), (("ko", "de"), "together"), (("xx",), "xx"), ((), "at least one")],
)
def test_languages_that_easyocr_refuses(languages: tuple[str, ...], words: str) -> None:
    with pytest.raises(LanguagesRefused, match=words):
        easyocr_models(languages)


@given(st.sets(st.sampled_from(sorted(LANGUAGES)), min_size=1, max_size=4))
def test_a_recogniser_that_is_chosen_reads_everything(languages: set[str]) -> None:
    try:
        name = recogniser_for(sorted(languages))
    except LanguagesRefused:
        return
    assert languages <= {*RECOGNISERS[name].languages, "en"}


@pytest.mark.skipif(not easyocr_table.installed(), reason="EasyOCR is not installed (extra: torch)")
def test_the_table_of_languages_is_that_of_the_installed_easyocr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "1")  # the table's file sets it
    package = find_spec("easyocr")
    assert package is not None
    assert package.origin is not None
    table = runpy.run_path(str(Path(package.origin).parent / "config.py"))
    assert set(table["all_lang_list"]) == LANGUAGES
    for family in ("latin", "arabic", "bengali", "cyrillic", "devanagari"):
        model = next(name for name in RECOGNISERS if name.startswith(family))
        assert {*table[f"{family}_lang_list"], "en"} == {*RECOGNISERS[model].languages, "en"}
    for spec in CATALOGUE.values():
        if spec.kind is Kind.EASYOCR:
            assert easyocr_table.table_entry(spec).md5


def test_caches_are_found_as_their_owners_find_them() -> None:
    assert hub_cache({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}) == Path("/a")
    assert hub_cache({"HF_HOME": "/b"}) == Path("/b/hub")
    assert hub_cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert hub_cache({}) == Path.home() / ".cache/huggingface/hub"
    assert easyocr_folder({"EASYOCR_MODULE_PATH": "/e", "MODULE_PATH": "/m"}) == Path("/e/model")
    assert easyocr_folder({}) == Path.home() / ".EasyOCR/model"


def test_a_whole_safetensors_file_passes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for size in (0, 1, 1000):
        path.write_bytes(safetensors(size))
        check_safetensors(path, "fetch it again")


@given(cut=st.integers(min_value=0, max_value=1000), extra=st.binary(min_size=1, max_size=20))
def test_one_that_is_cut_or_longer_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int, extra: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "spoilt.safetensors"
    whole = safetensors(1000)
    for spoilt in (whole[: len(whole) - 1 - cut], whole + extra):
        path.write_bytes(spoilt)
        with pytest.raises(FileRefused):
            check_safetensors(path, "fetch it again")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04\x00\x00\x08\x08" + noise(100), "could run code"),
        (b"\x80\x02}q\x00X\x05\x00" + noise(100), "could run code"),
        (b"<html><body>Log in</body></html>", "a web page"),
        (b"", "cut off"),
        ((5).to_bytes(8, "little") + b"[1,2]", "not a table"),
    ],
)
def test_what_is_no_safetensors_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=words):
        check_safetensors(path, "fetch it again")
