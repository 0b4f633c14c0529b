"""EasyOCR's own table of its models: file name, address and MD5 of each, read from the installed package.

``import easyocr`` would import torch (seconds). The table is a plain module without imports of its own, so that file
alone is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from imgtool.distribution import install_command, pip_install
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.errors import LibraryMissing, ModelNotFound


@dataclass(frozen=True)
class TableEntry:
    """One model as EasyOCR describes it: the weights' file name, the address of its zip, the MD5 of the weights."""

    filename: str
    url: str
    md5: str


def table_entry(spec: ModelSpec) -> TableEntry:
    """What the installed EasyOCR says about ``spec``.

    Raises:
        LibraryMissing: EasyOCR is not installed, so where its models lie and what they hash to is not known.
        ModelNotFound: the installed EasyOCR has no such model.
    """
    location = _table_file()
    if location is None:
        raise LibraryMissing(
            f"{spec.name} is described by EasyOCR's own tables, and EasyOCR is not installed",
            f"`{install_command('torch')}`, then run this again",
        )
    found: Any = _read(location)
    for step in spec.repository.split("/"):
        if not isinstance(found, Mapping) or step not in found:
            remedy = pip_install("--upgrade", "easyocr>=1.7.2")
            raise ModelNotFound(f"the installed EasyOCR has no model {spec.name}", remedy)
        found = found[step]
    return TableEntry(found["filename"], found["url"], found["md5sum"].lower())


def installed() -> bool:
    """Whether EasyOCR's table can be read here."""
    return _table_file() is not None


def empty_recogniser(generation: str, classes: int) -> Any:
    """EasyOCR's recogniser of ``generation`` for so many ``classes``, as it is before a training. Imports torch."""
    module, width = {"gen1": ("model", 512), "gen2": ("vgg_model", 256)}[generation]
    return import_module(f"easyocr.model.{module}").Model(1, width, width, classes)


def _table_file() -> Path | None:
    package = find_spec("easyocr")
    if package is None or package.origin is None:
        return None
    config = Path(package.origin).parent / "config.py"
    return config if config.is_file() else None


def _read(location: Path) -> Mapping[str, Any]:
    described = spec_from_file_location("_imgtool_easyocr_config", location)
    if described is None or described.loader is None:
        return {}
    module = module_from_spec(described)
    # The file sets a variable for torch as it is run; reading a table must not change this process.
    before = dict(os.environ)
    try:
        described.loader.exec_module(module)
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
    return {"detection": module.detection_models, "recognition": module.recognition_models}
