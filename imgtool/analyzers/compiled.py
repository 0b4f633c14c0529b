"""The probe that the analyzers of compiled models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgtool.analyzers.interface import Probe
from imgtool.artefacts.find import Artefact, ArtefactUnusable
from imgtool.errors import ImgtoolError

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


def probe_compiled(options: EngineOptions, find: Callable[[EngineOptions], Artefact]) -> Probe:
    """Available if ``find`` finds a usable compiled model, and the CPU may be used."""
    if options.device not in ("auto", "cpu"):
        reason = f"compiled models run on the CPU, not on {options.device}"
        return Probe(False, reason=reason, remedy="use --device cpu")
    try:
        artefact = find(options)
    except ImgtoolError as problem:
        unused = f"{problem} ({problem.remedy})" if isinstance(problem, ArtefactUnusable) else ""
        return Probe(False, reason=str(problem), remedy=problem.remedy, notice=unused)
    found, notice = artefact.manifest, artefact.notice
    return Probe(True, model=found.model, model_version=found.model_version, size_bytes=found.size_bytes, notice=notice)
