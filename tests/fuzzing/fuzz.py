"""Coverage-guided fuzzing of one target with atheris: ``python -m tests.fuzzing.fuzz TARGET [flags of libFuzzer]``.

For example ``python -m tests.fuzzing.fuzz queries -max_total_time=300``. Needs ``atheris``. It begins with the
seeds and with the corpus that is kept of the target; what it finds on the way is written to ``out/fuzzing/TARGET``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzzing.seeds import seeds

KEPT = Path(__file__).parent / "corpora"
FOUND = Path("out/fuzzing")
SCRATCH = "FUZZ_SCRATCH"
"""The variable that names a folder for files of the targets."""


def main() -> None:
    """Fuzz in a process of its own, which libFuzzer ends without anything being removed."""
    if SCRATCH in os.environ:
        fuzz()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=memory) as scratch:
        command, environment = (
            [sys.executable, "-m", "tests.fuzzing.fuzz", *sys.argv[1:]],
            {**os.environ, SCRATCH: scratch},
        )
        code = subprocess.run(command, env=environment, check=False).returncode
    sys.exit(code)


def fuzz() -> None:
    """Fuzz the target that the command line names; does not return."""
    import atheris

    with atheris.instrument_imports(include=["imgtool", "tests.fuzzing.targets"]):
        from tests.fuzzing.targets import TARGETS

        name, *flags = sys.argv[1:] or [""]
        if name not in TARGETS:
            sys.exit(f"name one of {', '.join(TARGETS)}")
        # What a target imports at its first call is to be instrumented, too.
        TARGETS[name](b"")
        kept = sorted((KEPT / name).glob("*"))
        for content in (*seeds()[name], *(path.read_bytes() for path in kept)):
            TARGETS[name](content)
    corpus, first = FOUND / name / "corpus", FOUND / name / "seeds"
    for folder in (corpus, first):
        folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds()[name]):
        (first / str(number)).write_bytes(content)
    folders = [corpus, first, *({path.parent for path in kept})]
    flags = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1", *flags]
    atheris.Setup([sys.argv[0], f"-artifact_prefix={FOUND / name}/", *flags, *map(str, folders)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
