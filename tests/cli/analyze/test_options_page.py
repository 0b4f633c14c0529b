"""docs/options.md lists every option and every parameter, as help and ``imgtool models`` show them."""

from __future__ import annotations

import typer

from imgtool.cli.analyze import options
from imgtool.cli.help import ON_BY_DEFAULT
from imgtool.cli.main import app
from imgtool.parameters import TABLES
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
PARAMETERS = typer.main.get_command(app).commands["analyze"].params  # type: ignore[attr-defined]


def rows(heading: str) -> list[str]:
    """The rows of the table under a heading, without its first two lines."""
    section = PAGE.partition(f"# {heading}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_every_option_is_listed_as_help_shows_it() -> None:
    expected: dict[str, list[str]] = {}
    for option in PARAMETERS:
        if option.param_type_name == "option" and option.name != "help_all":
            flags = option.secondary_opts if option.name in ON_BY_DEFAULT else option.opts
            shown = ", ".join(sorted(flags, key=len)) + (f" {option.metavar}" if option.metavar else "")
            expected.setdefault(option.rich_help_panel, []).append(f"| `{shown}` | {option.help} |")
    assert {heading: rows(heading) for heading in expected} == expected
    assert set(options.RARE_PANELS) < set(expected)


def test_every_parameter_is_listed() -> None:
    for option, table in TABLES.items():
        assert rows(f"`--{option} NAME=VALUE`") == [
            f"| {', '.join(f'`{e}`' for e in p.engines)} | `{p.name}` | {p.default} | {p.takes} | {p.meaning} |"
            for p in table.values()
        ]
