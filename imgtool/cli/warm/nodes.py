"""``imgtool warm-cache --cluster``: the same command on every node, and what each said."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from imgtool.cli.boundary import verdict
from imgtool.cli.console import Messages, print_line
from imgtool.cli.warm.steps import print_report
from imgtool.cluster.warm import run_on_nodes
from imgtool.errors import ExitCode
from imgtool.formats.clean import printable


def warm_nodes(address: str, arguments: Sequence[str], *, json: bool) -> ExitCode:
    """Run ``imgtool`` with ``arguments``, without what they say of the cluster, on every node; gives the worst exit
    code.

    Raises:
        imgtool.errors.ImgtoolError: the cluster cannot be used.
    """
    words = without_cluster(arguments)
    code = ExitCode.OK
    reports = []
    for outcome in run_on_nodes(address, words):
        known = next((each for each in ExitCode if each == outcome.code), ExitCode.INTERNAL)
        code = max(code, known)
        if json:
            try:
                report = msgspec.json.decode(outcome.out)
            except msgspec.DecodeError:
                report = None
            reports.append({"node": outcome.name, "exit_code": outcome.code, "report": report, "stderr": outcome.err})
            continue
        for line in outcome.out.splitlines():
            print_line(f"{outcome.name}: {printable(line)}")
        for line in outcome.err.splitlines():
            Messages().plain(f"{outcome.name}: {printable(line)}")
        if outcome.code:
            Messages().error(f"node {outcome.name}: warm-cache ended with exit code {outcome.code}")
    if json:
        with verdict(code):
            print_report(code, nodes=reports)
    return code


def without_cluster(arguments: Sequence[str]) -> list[str]:
    """The words of a command line without ``--cluster`` and its address."""
    words: list[str] = []
    skip = False
    for word in arguments:
        if not skip and word != "--cluster" and not word.startswith("--cluster="):
            words.append(word)
        skip = word == "--cluster" and not skip
    return words
