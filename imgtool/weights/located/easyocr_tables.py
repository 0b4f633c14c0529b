"""EasyOCR's own table of its models: file name, address and MD5 of each, read from the installed package.

``import easyocr`` would import torch (seconds). The table is a plain module without imports of its own, so that file
alone is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
    location = _config_file()
    if location is None:
        raise LibraryMissing(
            f"{spec.name} is described by EasyOCR's own tables, and EasyOCR is not installed",
            f"`{install_command('torch')}`, then run this again",
        )
    found = _walk(_load(location), spec.repository)
    if found is None:
        remedy = pip_install("--upgrade", "easyocr>=1.7.2")
        raise ModelNotFound(f"the installed EasyOCR has no model {spec.name}", remedy)
    return TableEntry(found["filename"], found["url"], found["md5sum"].lower())


def installed() -> bool:
    """Whether EasyOCR's table can be read here."""
    return _config_file() is not None


def _config_file() -> Path | None:
    package = find_spec("easyocr")
    if package is None or package.origin is None:
        return None
    config = Path(package.origin).parent / "config.py"
    return config if config.is_file() else None


def _load(location: Path) -> Mapping[str, Any]:
    described = spec_from_file_location("_imgtool_easyocr_config", location)
    if described is None or described.loader is None:
        return {}
    module = module_from_spec(described)
    with _environment_kept():
        described.loader.exec_module(module)
    return {"detection": module.detection_models, "recognition": module.recognition_models}


@contextmanager
def _environment_kept() -> Iterator[None]:
    # The table's file sets a variable for torch as it is run; reading a table must not change this process.
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def _walk(tables: Mapping[str, Any], path: str) -> Any:
    found: Any = tables
    for step in path.split("/"):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found
