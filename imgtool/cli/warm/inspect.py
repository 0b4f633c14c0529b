"""The parts of ``imgtool warm-cache`` that only look, or remove: ``--check``, ``--dry-run``, ``--prune``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgtool.cli.cache import megabytes, print_line
from imgtool.cli.console import Messages
from imgtool.cli.warm.view import print_json
from imgtool.errors import ExitCode, ImgtoolError

if TYPE_CHECKING:
    from imgtool.artefacts.find import ArtefactStatus
    from imgtool.cli.warm.request import Request
    from imgtool.options import EngineOptions
    from imgtool.types import Problem
    from imgtool.warming.forecast import Forecast
    from imgtool.warming.prune import PrunePlan
    from imgtool.warming.units import Unit
    from imgtool.weights.catalogue import ModelSpec
    from imgtool.weights.store import ModelStatus, ModelStore


def check(units: Sequence[Unit], store: ModelStore, request: Request, options: EngineOptions) -> ExitCode:
    """Say of every model whether it is whole here, and whether a run finds it; nothing is loaded, nobody is asked.

    A compiled model is all that a run needs: where it is whole, what it was made from may be gone.
    """
    found = {model: store.status(model, full=request.full) for model in _models(units)}
    compiled = _compiled(units, options, request.full)
    covered = {model for unit, one in compiled if one.usable for model in unit.models}
    missing = [status for model, status in found.items() if not status.complete and model not in covered]
    damaged = [one for _, one in compiled if one.problems]
    unready = _unready(units, store, options) if not missing else []
    code = ExitCode.MODEL_MISSING if missing or damaged or unready else ExitCode.OK
    if request.json:
        models = [_status_object(status) for status in found.values()]
        rows = [_compiled_object(one) for _, one in compiled]
        print_json({"ok": not code, "exit_code": int(code), "models": models, "compiled": rows, "unfound": unready})
        return code
    for status in found.values():
        print_line(f"{status.state.value}: {status.message}")
    for _, one in compiled:
        print_line(f"{one.state.value}: {one.message}")
    for status in missing:
        Messages().error(status.message, status.remedy)
    for one in damaged:
        Messages().error(one.message, one.remedy)
    for problem in unready:
        Messages().error(problem.message, problem.remedy)
    if code is ExitCode.OK:
        print_line("a run needs no network" if found else "the engines that are configured need no fetched model")
    return code


def _compiled(units: Sequence[Unit], options: EngineOptions, full: bool) -> list[tuple[Unit, ArtefactStatus]]:
    from imgtool.options import BackendChoice
    from imgtool.warming.unit_compiler import UnitCompiler

    if options.backend is BackendChoice.TORCH:
        return []
    compiler = UnitCompiler(options)
    return [(unit, compiler.status(unit, full=full)) for unit in units if unit.engine]


def _unready(units: Sequence[Unit], store: ModelStore, options: EngineOptions) -> list[Problem]:
    from imgtool.warming.unit_loader import UnitLoader

    loader = UnitLoader(options)
    return [problem for unit in units if (problem := loader.unready(unit, store)) is not None]


def dry_run(units: Sequence[Unit], store: ModelStore, request: Request) -> ExitCode:
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
        print_json({"ok": not code, "exit_code": int(code), "models": rows, "failures": problems})
        return code
    for row in rows:
        print_line(_forecast_line(row))
    if len(rows) > 1:
        print_line(f"to fetch: {_about(rows)}")
    for name, failure in failures:
        Messages().error(f"{name}: {failure}", failure.remedy)
    return code


def prune(store: ModelStore, request: Request, options: EngineOptions) -> ExitCode:
    """Show the plans, for models and what was made of them, then carry them out unless they are only to be shown."""
    from imgtool.artefacts.find import artefacts_root, cleaned_root
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
        more = {"compiled": compiled, "cleaned": cleaned}
        print_json(_plan_object(plan, request.dry_run) | {k: _plan_object(v, request.dry_run) for k, v in more.items()})
        return ExitCode.OK
    _print_plan(plan, request.dry_run)
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


def _forecast_line(row: Forecast) -> str:
    if not row.needed:
        return f"{row.model}: {row.source}"
    at = f" at {row.commit[:12]}" if row.commit else ""
    size = f"{'' if row.exact else 'about '}{megabytes(row.size_bytes)}" if row.size_bytes else "nothing to transfer"
    return f"{row.model}: {size} from {row.source}{at}"


def _about(rows: Sequence[Forecast]) -> str:
    total = megabytes(sum(row.size_bytes for row in rows))
    return total if all(row.exact for row in rows) else f"about {total}"


def _plan_object(plan: PrunePlan, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": True,
        "exit_code": 0,
        "executed": bool(plan.removals) and not dry_run,
        "removals": plan.removals,
        "freed_bytes": plan.size_bytes,
        "before_bytes": plan.before_bytes,
        "after_bytes": plan.after_bytes,
        "over_bytes": plan.over_bytes,
    }


def _print_plan(plan: PrunePlan, dry_run: bool, what: str = "models") -> None:
    for removal in plan.removals:
        verb = "would remove" if dry_run else "removed"
        print_line(f"{verb} {removal.model}, {removal.reason}: {megabytes(removal.size_bytes)}")
    if not plan.removals:
        print_line("nothing to remove")
    print_line(f"{what} take {megabytes(plan.before_bytes if dry_run else plan.after_bytes)}")
    if plan.over_bytes:
        Messages().notice(f"models in use exceed --max-size by {megabytes(plan.over_bytes)}; they are kept")
