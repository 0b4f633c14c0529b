"""Write docs/errors.md: every error class with its exit code, and what is said wherever one is raised.

    python scripts/write_errors_page.py [--check]

Classes, codes and texts are read from the source of ``imgtool/``. ``{name}`` stands for what is known only then.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from imgtool.errors import ExitCode  # noqa: E402 - after the path is set

PAGE = ROOT / "docs" / "errors.md"
_ROOT_CLASS = "ImgtoolError"
_OF_IMAGES = ("Problem", "HttpProblem", "DecodeError")
_HEAD = """# Errors

Written by `scripts/write_errors_page.py` from the source: do not edit.

Every failure that you can cause has a message, a remedy, and an exit code. On the command line it is two lines on
stderr (`error: ...` and `try: ...`); with `--log-format json` one object with `code`, `message` and `remedy`; in Python
an exception of the class that is named here; over HTTP a problem document. What is between braces is filled in when it
happens, and a slash stands between texts of which one is said. Commands in remedies can be pasted as they are shown.

"""


class Said(NamedTuple):
    """A place where an error is made: what it says, and what to do."""

    message: str
    remedy: str


class Found(NamedTuple):
    """An error class: the class it is of, its docstring, and its own exit code by name, or ``None``."""

    base: str
    cause: str
    code: str | None


@lru_cache(maxsize=1)
def trees() -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "imgtool").rglob("*.py")))


def classes() -> dict[str, Found]:
    """The classes that are of :class:`imgtool.errors.ImgtoolError`, by name."""
    found = {}
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and len(node.bases) >= 1 and isinstance(node.bases[0], ast.Name):
                code = None
                for line in node.body:
                    target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
                    value = getattr(line, "value", None)
                    if isinstance(target, ast.Name) and target.id == "exit_code" and isinstance(value, ast.Attribute):
                        code = value.attr
                found[node.name] = Found(node.bases[0].id, ast.get_docstring(node) or "", code)
    ours = {_ROOT_CLASS}
    while more := {name for name, each in found.items() if each.base in ours and name not in ours}:
        ours |= more
    return {name: each for name, each in found.items() if name in ours}


def sites(names: set[str]) -> dict[str, list[Said]]:
    """Where errors of these classes, or with these codes, are made."""
    found: dict[str, list[Said]] = defaultdict(list)
    for tree in trees():
        outer = assigned(tree)
        for scope in ast.walk(tree):
            if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                continue
            known = outer | assigned(scope)
            for node in own_nodes(scope):
                if not isinstance(node, ast.Call):
                    continue
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                given = list(node.args)
                if called in _OF_IMAGES and given and isinstance(given[0], ast.Constant):
                    name, given = str(given[0].value), given[1:]
                elif called in names:
                    name = called
                else:
                    continue
                texts = [text(each, known) for each in given[:2]]
                texts += [text(each.value, known) for each in node.keywords if each.arg == "remedy"]
                said = Said(*[*texts, "", ""][:2])
                is_passed_on = re.fullmatch(r"\{[^}]*\}|", said.message)
                if not is_passed_on and said not in found[name]:
                    found[name].append(said)
    return found


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from own_nodes(child)


def assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """Names that a function sets once, with what it sets them to."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in own_nodes(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                found[target.id].append(node.value)
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for name, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(name, ast.Name):
                        found[name.id].append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def text(node: ast.expr, known: dict[str, ast.expr], depth: int = 0) -> str:  # noqa: PLR0911 - a case each
    """What an expression says, with ``{name}`` for what is not known."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text(each, known, depth) for each in node.values)
    if isinstance(node, ast.FormattedValue):
        return text(node.value, known, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text(node.left, known, depth) + text(node.right, known, depth)
    if isinstance(node, ast.IfExp):
        return f"{text(node.body, known, depth)} / {text(node.orelse, known, depth)}"
    if isinstance(node, ast.Name):
        if node.id in known and depth < 3 and (said := text(known[node.id], known, depth + 1)):
            return said
        return f"{{{node.id.strip('_').replace('_', ' ').lower()}}}"
    return f"{{{last_name(node)}}}"


def last_name(node: ast.expr) -> str:  # noqa: C901, PLR0911 - a case each
    """What an expression is about, in a word."""
    if isinstance(node, ast.Attribute):
        if node.attr in ("value", "name"):
            return last_name(node.value)
        return {"strerror": "cause"}.get(node.attr, node.attr).replace("_", " ").strip()
    if isinstance(node, ast.Name):
        return node.id.strip("_").replace("_", " ").lower()
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "get") and node.args:
            return last_name(node.args[0])
        if isinstance(node.func, ast.Name) and node.func.id in ("len", "str", "type", "sorted", "min", "max", "repr"):
            return "number" if node.func.id == "len" else last_name(node.args[0])
        return last_name(node.func)
    if isinstance(node, ast.Subscript | ast.Starred | ast.Await | ast.FormattedValue):
        return last_name(node.value)
    if isinstance(node, ast.BinOp):
        return last_name(node.left)
    if isinstance(node, ast.BoolOp):
        return last_name(node.values[0])
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return last_name(node.generators[0].iter)
    return "value"


def cell(said: str) -> str:
    """A text in a table's cell; angle brackets are shown as they are."""
    one = re.sub(r"\s+", " ", said).strip()
    return one.replace("|", "\\|").replace("<", "&lt;") or "-"


def page() -> str:
    found = classes()
    said = sites(set(found))

    def exit_code(name: str) -> ExitCode:
        each = found[name]
        if each.code is not None:
            return ExitCode[each.code]
        return exit_code(each.base) if each.base in found else ExitCode.INTERNAL

    parts = [_HEAD, "## Exit codes\n\n| code | meaning |\n| --- | --- |\n"]
    parts += [f"| {code.value} | {code.meaning} |\n" for code in ExitCode]
    parts.append("\n## Errors that end a command\n")
    for name in sorted(found, key=lambda name: (exit_code(name), name)):
        cause = re.sub(r"\s+", " ", found[name].cause.split("\n\n")[0]).replace("<", "&lt;")
        cause = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", cause).replace("``", "`")
        parts.append(f"\n### {name} (exit code {exit_code(name).value})\n\n{cause}\n")
        if said.get(name):
            parts.append("\n| what is said | what to do |\n| --- | --- |\n")
            parts += [f"| {cell(each.message)} | {cell(each.remedy)} |\n" for each in said[name]]
    parts.append("\n## Codes of images and requests\n\nIn results (`error`), in events, and over HTTP (`code`).\n\n")
    parts.append("| code | what is said | what to do |\n| --- | --- | --- |\n")
    for code in sorted(code for code in said if code not in found):
        parts += [f"| `{code}` | {cell(each.message)} | {cell(each.remedy)} |\n" for each in said[code]]
    return "".join(parts)


def main() -> int:
    written = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == written else 1
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
