"""The launcher's own view of a process tree."""

from __future__ import annotations

import subprocess
import sys
import time

from imgtool.bench.measure.launcher import Tree

MB = 1_000_000
HOLDS = "kept = b'x' * 60_000_000; print('ready', flush=True); input()"


def test_a_child_is_found_and_its_memory_is_counted() -> None:
    tree = Tree()
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(3):  # a process counts from the second reading on
            tree.look()
            time.sleep(0.01)
        assert child.pid in tree.living()
        peaks = tree.peaks
        assert 60 * MB < peaks["anon"] < 120 * MB
        assert peaks["largest"] >= peaks["anon"]
        assert 0 < peaks["grew_ns"] <= peaks["looked_ns"]
        child.communicate(b"\n")
    assert child.pid not in tree.living()
