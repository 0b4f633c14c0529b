"""``tesseract``: lines of text by the Tesseract program, if it is installed with the languages asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.analyzers.text.tesseract_languages import installed_languages, spoken_names, tesseract_code
from imgtool.analyzers.text.tesseract_tsv import DamagedOutput, parse_lines
from imgtool.errors import ModelLoadFailed, ModelMissing
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task
from imgtool.weights.hashing import sampled_sha256

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

INSTALL = "install it, for example `apt-get install tesseract-ocr tesseract-ocr-kor` or `brew install tesseract-lang`"
PAGE_MODE = 4
"""A column of text of varying sizes. The program's own default, 3, also looks for vertical text, and with its Korean
data mistakes rows of syllables for columns: it loses most lines of a Korean notice that 4 reads."""

DPI = 300
"""Stated for every picture: few pictures state it, and the program's guess from the size of the letters made it lose
the table of the same notice."""

_BOTH = ("-c", "tessedit_create_tsv=1", "-c", "tessedit_create_txt=1")
"""Boxes and confidences are in the TSV only, the spaces between Korean words in the plain text only."""

_SHARE, _GRACE_SECONDS = 0.75, 30.0
"""How much of ``--timeout`` the program may take for a picture: this share of it, or all of it except so many seconds
if that is more."""


class Tesseract(Analyzer):
    """The installed ``tesseract``, one process per picture, which it reads from standard input."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="tesseract",
        task=Task.TEXT.value,
        version="1",
        backend=Backend.PYTHON,
        summary="lines of text by the installed Tesseract program",
        licence="Apache-2.0",
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if the program is on the PATH with at least one of the languages.

        Runs ``tesseract --version`` (10 ms) once a process, and only if there is such a language.
        """
        binary = find_binary()
        if binary is None:
            return Probe(False, reason="the program tesseract is not installed", remedy=INSTALL)
        installed = installed_languages(binary)
        wanted = _wanted(options, installed)
        if not wanted:
            reason = f"tesseract has no language file for {', '.join(options.languages)}"
            return Probe(False, reason=reason, remedy=INSTALL, languages=spoken_names(installed))
        files = [path for code in wanted if (path := installed[code]) is not None]
        version = _version(binary, binary.stat().st_mtime_ns)
        return Probe(
            True,
            model="+".join(wanted),
            model_version=f"{version}, {sampled_sha256(files)[:12]}",
            languages=spoken_names(installed),
            size_bytes=sum(path.stat().st_size for path in files),
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Languages in Tesseract's codes, the page segmentation mode, the program under ``paths``, and the ``seconds``
        that it may take.

        Raises:
            ModelMissing: the program or every language asked for is missing.
        """
        mode = options.ocr.get("psm", PAGE_MODE)
        binary = find_binary()
        wanted = _wanted(options, installed_languages(binary)) if binary else []
        if not wanted:
            raise ModelMissing("tesseract or its languages are missing", INSTALL)
        seconds = max(_SHARE * options.timeout, options.timeout - _GRACE_SECONDS)
        return {"paths": {"binary": str(binary)}, "languages": wanted, "psm": mode, "seconds": seconds}

    def load(self) -> None:
        """Check that the program still runs; nothing stays loaded between pictures.

        Raises:
            ModelLoadFailed: it does not.
        """
        binary = Path(self.parameters_given["paths"]["binary"])
        try:
            subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ModelLoadFailed(f"{binary} does not run: {error}", INSTALL) from error

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """The lines of each picture as a tuple of :class:`imgtool.types.TextLine`."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Picture) -> tuple[Any, ...] | Problem:
        height, width = picture.pixels.shape[:2]
        given = self.parameters_given
        how = ["-l", "+".join(given["languages"]), "--psm", str(given["psm"]), "--dpi", str(DPI)]
        header = f"P6\n{width} {height}\n255\n".encode()
        # Messages and numbers in the C locale. One thread: Tesseract's threads wait busily for each other, and two of
        # them on busy cores were measured to take more than five times as long as one.
        environment = {**os.environ, "LC_ALL": "C", "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(
                [given["paths"]["binary"], "-", "-", *how, *_BOTH],
                input=header + picture.pixels.tobytes(),
                capture_output=True,
                env=environment,
                timeout=given["seconds"],
                check=False,
            )
        except subprocess.TimeoutExpired:
            limit = given["seconds"]
            return Problem("timeout", f"tesseract took longer than {limit:.0f} s on this image", "raise --timeout")
        except OSError as error:
            return Problem("model_failed", f"tesseract could not be started: {error}", INSTALL)
        if done.returncode:
            said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
            text = f"tesseract failed on this image: {said[0] if said else f'exit status {done.returncode}'}"
            return Problem("model_failed", text, "try another engine with --text-engine")
        try:
            return tuple(parse_lines(done.stdout.decode("utf-8"), width, height))
        except (DamagedOutput, UnicodeDecodeError) as error:
            return Problem("damaged_answer", f"tesseract's answer cannot be read: {error}", "try another engine")


def find_binary() -> Path | None:
    """The program on the PATH, if any."""
    found = shutil.which("tesseract")
    return Path(found) if found else None


def _wanted(options: EngineOptions, installed: Mapping[str, Path | None]) -> list[str]:
    codes = dict.fromkeys(tesseract_code(language) for language in options.languages)
    return [code for code in codes if code in installed]


@lru_cache(maxsize=4)
def _version(binary: Path, _mtime_ns: int) -> str:
    """The program's release, which is part of the fingerprint; empty if it does not say."""
    try:
        asked = subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"tesseract\s+v?(\d[\w.-]*)", (asked.stdout or asked.stderr).decode("utf-8", "replace"))
    return f"tesseract {found[1]}" if found else ""
