"""Coverage-guided fuzzing of one target with atheris: ``python -m tests.fuzzing.fuzz TARGET [flags of libFuzzer]``.

For example ``python -m tests.fuzzing.fuzz queries -max_total_time=300``. Needs the extra ``fuzz``. It begins with the
seeds and with the corpus that is kept of the target; what it finds on the way is written to ``out/fuzzing/TARGET``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzzing.seeds import seeds

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
