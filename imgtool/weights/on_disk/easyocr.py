"""Finds the files of EasyOCR that a set of languages needs on this machine. Light, as a probe must be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imgtool.distribution import installed_release
from imgtool.errors import ModelMissing, UsageProblem
from imgtool.options import EngineOptions, Weights
from imgtool.weights.catalogue import CATALOGUE, DETECTOR, ModelSpec, easyocr_models
from imgtool.weights.easyocr_table import TableEntry, table_entry
from imgtool.weights.errors import unreadable
from imgtool.weights.languages import RECOGNISERS, easyocr_codes, with_usual_codes
from imgtool.weights.places import easyocr_folder
from imgtool.weights.synthetic.marker import Marker, read_marker
from imgtool.weights.synthetic.store import easyocr_spec, synthetic_store
from imgtool.weights.warm_command import easyocr_command


@dataclass(frozen=True)
class OcrWeights:
    """The files for a set of languages. ``marker`` is set if they are synthetic."""

    folder: Path
    recogniser: str
    version: str
    size_bytes: int
    marker: Marker | None


def weights_folder(options: EngineOptions) -> Path:
    """The folder of the weights for ``options``: the one that is named, that of synthetic ones, or EasyOCR's own.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        ModelMissing: synthetic weights are asked for and missing.
        UsageProblem: synthetic weights are asked for, and a folder is named.
    """
    if options.weights is not Weights.SYNTHETIC:
        named = options.easyocr_dir
        return named.expanduser().absolute() if named is not None else easyocr_folder(os.environ)
    if options.easyocr_dir is not None:
        raise UsageProblem(
            f"synthetic weights are asked for, and those in {options.easyocr_dir}",
            "leave out --weights or --easyocr-dir",
        )
    name = easyocr_spec(options).name
    folder = synthetic_store(options).folder(name)
    if folder is None:
        raise ModelMissing(f"no synthetic weights of {name} are here", easyocr_command(options).remedy)
    return folder


def weights_for(options: EngineOptions) -> OcrWeights:
    """The detector and the recogniser that a run with ``options`` uses. No network.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.weights.errors.LibraryMissing: EasyOCR is not installed.
        ModelMissing: a file is missing, or synthetic although neither that nor its folder was asked for.
        ModelLoadFailed: the mark of synthetic weights is damaged.
        UsageProblem: synthetic weights are asked for, and a folder is named.
    """
    needed, place = easyocr_models(easyocr_codes(options.languages)), weights_folder(options)
    own = options.easyocr_dir is not None
    remedy = _OWN_FILES if own else easyocr_command(options).remedy
    entries = [_entry(spec) for spec in needed]
    if missing := [entry.filename for entry in entries if not _is_there(place / entry.filename)]:
        raise ModelMissing(f"{' and '.join(missing)} not in {place}", remedy)
    marker = read_marker(place)
    if marker is not None and not own and options.weights is not Weights.SYNTHETIC:
        raise ModelMissing(f"the weights in {place} are synthetic: their answers mean nothing", f"{remedy} elsewhere")
    recogniser, entry = needed[-1].name, entries[-1]
    size = sum((place / each.filename).stat().st_size for each in entries)
    # Answers depend on EasyOCR's release and on the weights.
    version = f"easyocr {installed_release('easyocr')}, {recogniser} "
    if marker is None:
        version += entry.md5[:12]
    else:
        version = f"{marker.version} {version}{marker.files.get(entry.filename, '')[:12]}"
    return OcrWeights(place, recogniser, version, size, marker)


_OWN_FILES = "put EasyOCR's own files there, or leave out --easyocr-dir"


def how_to_repair(options: EngineOptions) -> str:
    """What to do if a file for ``options`` is damaged. Nothing is fetched into a user's folder."""
    return _OWN_FILES if options.easyocr_dir is not None else easyocr_command(options).fetching_again


def readable_languages(options: EngineOptions) -> tuple[str, ...]:
    """The languages of the recognisers that are here: EasyOCR's codes, and the usual ones if they differ.

    Raises:
        As :func:`weights_folder` does.
    """
    place = weights_folder(options)
    if not _is_there(place / _entry(DETECTOR).filename):
        return ()
    present = [name for name in RECOGNISERS if _is_there(place / _entry(CATALOGUE[name]).filename)]
    return with_usual_codes(dict.fromkeys(code for name in present for code in RECOGNISERS[name].languages))


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except PermissionError as error:
        raise unreadable(error) from error


@lru_cache(maxsize=32)
def _entry(spec: ModelSpec) -> TableEntry:
    return table_entry(spec)
