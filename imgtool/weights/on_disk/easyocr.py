"""Which of EasyOCR's files a set of languages needs, and where they are on this machine. Light, as a probe must be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from imgtool.errors import ModelMissing, UsageProblem
from imgtool.options import EngineOptions, Weights
from imgtool.weights.catalogue import CATALOGUE, DETECTOR, ModelSpec, easyocr_models
from imgtool.weights.easyocr_table import TableEntry, table_entry
from imgtool.weights.languages import RECOGNISERS, easyocr_codes, with_usual_codes
from imgtool.weights.places import easyocr_folder
from imgtool.weights.synthetic.marker import Marker, read_marker
from imgtool.weights.synthetic.store import easyocr_spec, synthetic_store
from imgtool.weights.warm_command import bake_easyocr

__all__ = [
    "OcrWeights",
    "easyocr_codes",
    "find_weights",
    "how_to_get",
    "named_folder",
    "readable_languages",
    "weights_for",
    "with_usual_codes",
]

WARM = bake_easyocr(EngineOptions()).remedy


@dataclass(frozen=True)
class OcrWeights:
    """The files for a set of languages. ``marker`` is there where they are synthetic."""

    folder: Path
    recogniser: str
    version: str
    size_bytes: int
    marker: Marker | None


def named_folder(options: EngineOptions) -> Path | None:
    """The folder of weights that ``options`` name: the user's, or that of synthetic ones; ``None`` is EasyOCR's own.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        ModelMissing: synthetic weights are asked for and not here.
        UsageProblem: synthetic weights are asked for, and a folder is named.
    """
    if options.weights is not Weights.SYNTHETIC:
        return options.easyocr_dir
    if options.easyocr_dir is not None:
        raise UsageProblem(
            f"synthetic weights are asked for, and those in {options.easyocr_dir}",
            "leave out --weights or --easyocr-dir",
        )
    name = easyocr_spec(options).name
    folder = synthetic_store(options).folder(name)
    if folder is None:
        raise ModelMissing(f"no synthetic weights of {name} are here", bake_easyocr(options).remedy)
    return folder


def weights_for(options: EngineOptions) -> OcrWeights:
    """The files that a run with ``options`` uses.

    Raises:
        As :func:`named_folder` and :func:`find_weights` do.
    """
    return find_weights(options.languages, named_folder(options), how_to_get(options))


def how_to_get(options: EngineOptions) -> str:
    """What to do where a file for ``options`` is missing or damaged. Nothing is fetched into a user's folder."""
    if options.easyocr_dir is not None:
        return "put EasyOCR's own files there, or leave out --easyocr-dir"
    return bake_easyocr(options).remedy


def find_weights(languages: Iterable[str], folder: Path | None, remedy: str = WARM) -> OcrWeights:
    """The detector and the recogniser of ``languages`` in ``folder``, by default EasyOCR's own directory. No network.

    ``remedy`` is what to do where a file is not there.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.weights.errors.LibraryMissing: EasyOCR is not installed.
        ModelMissing: a file is not here, or is synthetic without its folder having been named.
        ModelLoadFailed: the mark of synthetic weights is damaged.
    """
    needed = easyocr_models(easyocr_codes(languages))
    place = weights_folder(folder)
    entries = [_entry(spec) for spec in needed]
    if missing := [entry.filename for entry in entries if not _is_there(place / entry.filename)]:
        raise ModelMissing(f"{' and '.join(missing)} not in {place}", remedy)
    marker = read_marker(place)
    if marker is not None and folder is None:
        raise ModelMissing(f"the weights in {place} are synthetic: their answers mean nothing", f"{remedy} elsewhere")
    recogniser = needed[-1].name
    size = sum((place / entry.filename).stat().st_size for entry in entries)
    return OcrWeights(place, recogniser, _version(recogniser, entries[-1], marker), size, marker)


def weights_folder(folder: Path | None) -> Path:
    """``folder`` made absolute, or the directory in which EasyOCR looks by itself."""
    return folder.expanduser().absolute() if folder is not None else easyocr_folder(os.environ)


def readable_languages(folder: Path | None) -> tuple[str, ...]:
    """What the recognisers in ``folder`` read: EasyOCR's codes, and the usual ones where they differ."""
    place = weights_folder(folder)
    if not _is_there(place / _entry(DETECTOR).filename):
        return ()
    present = [name for name in RECOGNISERS if _is_there(place / _entry(CATALOGUE[name]).filename)]
    codes = dict.fromkeys(code for name in present for code in RECOGNISERS[name].languages)
    return with_usual_codes(codes)


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


@lru_cache(maxsize=32)
def _entry(spec: ModelSpec) -> TableEntry:
    return table_entry(spec)


def _version(recogniser: str, entry: TableEntry, marker: Marker | None) -> str:
    """EasyOCR's release and which weights it reads with: both decide about an answer."""
    if marker is not None:
        return f"{marker.version} easyocr {_release()}, {recogniser} {marker.files.get(entry.filename, '')[:12]}"
    return f"easyocr {_release()}, {recogniser} {entry.md5[:12]}"


@lru_cache(maxsize=1)
def _release() -> str:
    """The installed release as the package states it, read without importing it."""
    package = find_spec("easyocr")
    if package is None or package.origin is None:
        return ""
    stated = Path(package.origin).read_text(encoding="utf-8")
    found = re.search(r"__version__\s*=\s*[\"']([^\"']+)", stated)
    return found[1] if found else ""
