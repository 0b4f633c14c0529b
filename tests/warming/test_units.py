"""From names and options to the models that are warmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgtool.options import EngineOptions
from imgtool.types import Task
from imgtool.warming.units import configured_units, named_units
from imgtool.weights.catalogue import Kind
from imgtool.weights.errors import UnknownModel

KOREAN = ("ko", "en")


def test_names_and_tasks_that_mean_the_same_are_one_unit() -> None:
    options = EngineOptions()
    units = named_units(["blip", "blip-base", "caption", "easyocr", "text"], options, KOREAN)
    assert [(unit.engine, [model.name for model in unit.models]) for unit in units] == [
        ("blip", ["blip-base"]),
        ("easyocr", ["craft", "korean_g2"]),
    ]


def test_a_part_of_easyocr_has_no_engine() -> None:
    (unit,) = named_units(["craft"], EngineOptions(), KOREAN)
    assert (unit.engine, unit.models[0].kind) == ("", Kind.EASYOCR)


@pytest.mark.parametrize(("name", "hint"), [("blip-bas", "blip-base"), ("photos", "--analyze")])
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        named_units([name], EngineOptions(), KOREAN)
    assert hint in caught.value.remedy


@pytest.mark.parametrize(
    ("given", "revision"), [({}, "main"), ({"caption_revision": "v2"}, "v2")], ids=["unpinned", "pinned"]
)
def test_a_repository_that_is_not_in_the_catalogue(given: dict[str, Any], revision: str) -> None:
    options = EngineOptions(tasks=(Task.CAPTION,), caption_model="owner/captions", **given)
    ((model,),) = (unit.models for unit in configured_units(options, KOREAN))
    assert (model.kind, model.repository, model.revision) == (Kind.HUB, "owner/captions", revision)
    assert "/" not in model.name


def test_a_folder_of_the_user_is_fetched_from_nowhere(tmp_path: Path) -> None:
    options = EngineOptions(tasks=(Task.CAPTION,), caption_model=str(tmp_path))
    (unit,) = configured_units(options, KOREAN)
    assert (unit.name, unit.models, unit.engine) == (tmp_path.name, (), "blip")


def test_engines_without_models_have_no_units() -> None:
    options = EngineOptions(caption_engine="describe", text_engine="rapidocr")
    assert configured_units(options, KOREAN) == ()
