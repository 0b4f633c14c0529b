"""Which forms a run writes, and what is refused before it begins."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from imgtool.config import resolve
from imgtool.distribution import install_command
from imgtool.documents import forms
from imgtool.documents.forms import forms_of
from imgtool.errors import ConfigProblem, MissingExtra, UsageProblem


def suffixes(**flags: Any) -> list[str]:
    resolved = resolve(flags, environ={})
    return [form.suffix for form in forms_of(resolved.output, resolved.engine)]


def test_each_form_has_a_suffix_of_its_own() -> None:
    assert suffixes() == []
    assert suffixes(text_out="txt,hocr,alto,pdf,txt") == [".txt", ".hocr", ".alto.xml", ".ocr.pdf"]
    assert suffixes(sidecar="json, xmp,txt") == [".json", ".xmp", ".txt"]


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        ({"text_out": "txt", "sidecar": "txt"}, "--sidecar-dir"),
        ({"text_out": "pdf", "tasks": "caption"}, "--tasks caption,text"),
        ({"sidecar": "txt", "tasks": "text"}, "--tasks text,caption"),
        ({"sidecar": "xmp", "tasks": "text"}, "--tasks text,caption"),
        ({"sidecar": "json", "retry_failed": True}, "--retry-failed"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(flags: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        suffixes(**flags)
    assert remedy in caught.value.remedy


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigProblem, match="txt, hocr, alto, pdf"):
        suffixes(text_out="docx")


def test_codes_bring_the_text_along() -> None:
    assert suffixes(text_out="txt", tasks="codes") == [".txt"]


@pytest.mark.parametrize("lacking", ["pikepdf", "img2pdf"])
def test_searchable_pdf_needs_its_extra(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(forms, "find_spec", lambda name: None if name == lacking else real(name))
    with pytest.raises(MissingExtra, match=lacking) as caught:
        suffixes(text_out="pdf")
    assert caught.value.remedy == install_command("pdf")
    assert suffixes(text_out="txt,hocr,alto", sidecar="json,xmp") != []
