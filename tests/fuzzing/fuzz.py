"""Coverage-guided fuzzing of one target with atheris: ``python -m tests.fuzzing.fuzz TARGET [flags of libFuzzer]``.

For example ``python -m tests.fuzzing.fuzz queries -max_total_time=300``. Needs the package ``atheris``. The corpus that
is kept of a target is where it begins; what it finds on the way is written to ``out/fuzzing/TARGET``.
"""

from __future__ import annotations

import sys
from pathlib import Path

KEPT = Path(__file__).parent / "corpora"
FOUND = Path("out/fuzzing")


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["imgtool", "tests.fuzzing.targets"]):
        from tests.fuzzing.targets import TARGETS

        name, *flags = sys.argv[1:] or [""]
        if name not in TARGETS:
            sys.exit(f"name one of {', '.join(TARGETS)}")
        # What a target imports at its first call is to be instrumented, too.
        TARGETS[name](b"")
        for seed in sorted((KEPT / name).glob("*")):
            TARGETS[name](seed.read_bytes())
    corpus = FOUND / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [str(corpus), *([str(KEPT / name)] if (KEPT / name).is_dir() else [])]
    defaults = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=3000", f"-artifact_prefix={FOUND / name}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *defaults, *flags, *folders], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
