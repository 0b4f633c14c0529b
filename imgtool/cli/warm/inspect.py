"""The parts of ``imgtool warm-cache`` that only look, or remove: ``--check``, ``--dry-run``, ``--prune``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgtool.cli.boundary import verdict
from imgtool.cli.console import Messages, megabytes, print_line
from imgtool.cli.warm.steps import print_report
from imgtool.errors import ExitCode, ImgtoolError

if TYPE_CHECKING:
    from imgtool.artefacts.find import ArtefactStatus
    from imgtool.cli.warm.request import WarmRequest
    from imgtool.options import EngineOptions
    from imgtool.types import Problem
    from imgtool.warming.prune import PrunePlan
    from imgtool.warming.units import Unit
    from imgtool.weights.catalogue import ModelSpec
    from imgtool.weights.store import ModelStatus, ModelStore


def check(units: Sequence[Unit], store: ModelStore, request: WarmRequest, options: EngineOptions) -> ExitCode:
    """Report whether every model is complete on this machine, and whether a run finds it. Loads nothing, asks no hub.

    A complete compiled model is enough for a run: the weights it was made from need not be here.
    """
    from imgtool.artefacts.find import ArtefactState
    from imgtool.options import BackendChoice
    from imgtool.warming.unit_compiler import UnitCompiler
    from imgtool.warming.unit_loader import UnitLoader
    from imgtool.weights.store import StoredState

    found = {model: store.status(model, full=request.full) for model in _models(units)}
    compiled: list[ArtefactStatus] = []
    missing = set(found)
    if options.backend is not BackendChoice.TORCH:
        compiler = UnitCompiler(options)
        for unit in units:
            if unit.engine:
                compiled.append(compiler.status(unit, full=request.full))
                missing -= set(unit.models) if compiled[-1].usable else set()
    # Weights that are not needed may be missing, but not damaged: torch would answer from them, or refuse to.
    damage = (StoredState.CHANGED_FILE, StoredState.UNREADABLE)
    absent = [
        status
        for model, status in found.items()
        if not status.complete and (model in missing or status.state in damage)
    ]
    damaged = [one for one in compiled if one.problems]
    unready: list[Problem] = []
    if not absent:
        loader = UnitLoader(options)
        unready = [problem for unit in units if (problem := loader.unready(unit, store)) is not None]
    code = ExitCode.MODEL_MISSING if absent or damaged or unready else ExitCode.OK
    denied = [one for one in absent if one.state is StoredState.DENIED]
    if denied or any(one.state is ArtefactState.DENIED for one in damaged):
        code = ExitCode.NOT_WRITABLE  # what is in there may be whole: fetching it again is not what mends that
    if request.json:
        models = [_status_object(status) for status in found.values()]
        with verdict(code):
            print_report(code, models=models, compiled=[_compiled_object(one) for one in compiled], unfound=unready)
        return code
    looked_at: list[ModelStatus | ArtefactStatus] = [*found.values(), *compiled]
    with verdict(code):
        for one in looked_at:
            print_line(f"{one.state.value}: {one.message}")
    problems: list[ModelStatus | ArtefactStatus | Problem] = [*absent, *damaged, *unready]
    for each in problems:
        Messages().error(each.message, each.remedy)
    if code is ExitCode.OK:
        print_line("a run needs no network" if found else "the engines that are configured need no model to be fetched")
    return code


def dry_run(units: Sequence[Unit], store: ModelStore, request: WarmRequest) -> ExitCode:
    """Say what would be fetched. Asks the hub for sizes, fetches nothing."""
    from imgtool.warming.forecast import forecast

    options, rows, failures = request.fetching(), [], []
    for model in _models(units):
        try:
            rows.append(forecast(model, store, options))
        except ImgtoolError as error:
            failures.append((model.name, error))
    code = ExitCode.MODEL_MISSING if failures else ExitCode.OK
    if request.json:
        problems = [{"model": name, "message": str(one), "remedy": one.remedy} for name, one in failures]
        with verdict(code):
            print_report(code, models=rows, failures=problems)
        return code
    with verdict(code):
        for row in rows:
            about = "" if row.exact else "about "
            size = f"{about}{megabytes(row.size_bytes)}" if row.size_bytes else "nothing to transfer"
            at = f" at {row.commit[:12]}" if row.commit else ""
            print_line(f"{row.model}: {size} from {row.source}{at}" if row.needed else f"{row.model}: {row.source}")
        if len(rows) > 1:
            about = "" if all(row.exact for row in rows) else "about "
            print_line(f"to fetch: {about}{megabytes(sum(row.size_bytes for row in rows))}")
    for name, failure in failures:
        Messages().error(f"{name}: {failure}", failure.remedy)
    return code


def prune(store: ModelStore, request: WarmRequest, options: EngineOptions) -> ExitCode:
    """Carry out the plans for models and for what was made of them, unless this is a dry run, and show them."""
    from imgtool.artefacts.find import artefacts_root
    from imgtool.artefacts.places import cleaned_root
    from imgtool.warming.prune import plan_prune
    from imgtool.warming.prune_compiled import in_use, plan_prune_cleaned, plan_prune_compiled
    from imgtool.weights.store import ModelStore

    root, graphs = artefacts_root(options), cleaned_root(options)
    cleaned = plan_prune_cleaned(graphs)
    plan, compiled = plan_prune(store, request.max_size), plan_prune_compiled(root, in_use=in_use(options))
    for one, place in ((plan, store), (compiled, ModelStore.at(root)), (cleaned, ModelStore.at(graphs))):
        if not request.dry_run and one.removals:
            one.execute(place)
    if request.json:
        of_compiled, of_cleaned = (
            {"ok": True, "exit_code": 0, **_plan_object(each, request.dry_run)} for each in (compiled, cleaned)
        )
        own = _plan_object(plan, request.dry_run)
        print_report(ExitCode.OK, **own, compiled=of_compiled, cleaned=of_cleaned)
        return ExitCode.OK
    _print_plan(plan, request.dry_run, "models")
    if compiled.before_bytes:
        _print_plan(compiled, request.dry_run, "compiled models")
    if cleaned.before_bytes:
        _print_plan(cleaned, request.dry_run, "graphs without denormal weights")
    return ExitCode.OK


def _models(units: Sequence[Unit]) -> list[ModelSpec]:
    return list(dict.fromkeys(model for unit in units for model in unit.models))


def _status_object(status: ModelStatus) -> dict[str, Any]:
    manifest = status.manifest
    return {
        "name": status.name,
        "complete": status.complete,
        "state": status.state,
        "message": status.message,
        "remedy": status.remedy,
        "problems": status.problems,
        "size_bytes": manifest.size_bytes if manifest else 0,
        "commit": manifest.commit if manifest else None,
        "fingerprint": manifest.fingerprint if manifest else None,
    }


def _compiled_object(status: ArtefactStatus) -> dict[str, Any]:
    manifest = status.artefact.manifest if status.artefact else None
    return {
        "model": status.model,
        "usable": status.usable,
        "state": status.state,
        "message": status.message,
        "remedy": status.remedy,
        "problems": status.problems,
        "folder": status.artefact.folder if status.artefact else None,
        "size_bytes": manifest.size_bytes if manifest else 0,
        "made_from": manifest.model_version if manifest else None,
        "parity": manifest.parity if manifest else None,
        "fast": manifest.fast if manifest else None,
    }


def _plan_object(plan: PrunePlan, dry_run: bool) -> dict[str, Any]:
    return {
        "executed": bool(plan.removals) and not dry_run,
        "removals": plan.removals,
        "freed_bytes": plan.size_bytes,
        "before_bytes": plan.before_bytes,
        "after_bytes": plan.after_bytes,
        "over_bytes": plan.over_bytes,
    }


def _print_plan(plan: PrunePlan, dry_run: bool, what: str) -> None:
    for removal in plan.removals:
        verb = "would remove" if dry_run else "removed"
        print_line(f"{verb} {removal.model}, {removal.reason}: {megabytes(removal.size_bytes)}")
    if not plan.removals:
        print_line("nothing to remove")
    print_line(f"{what} take {megabytes(plan.before_bytes if dry_run else plan.after_bytes)}")
    if plan.over_bytes:
        Messages().notice(f"the models in use are {megabytes(plan.over_bytes)} larger than --max-size; they are kept")
