"""``tesseract``: lines of text by the Tesseract program, if it is installed with the languages asked for."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.analyzers.text.doubts import has_ideographs, with_doubts
from imgtool.analyzers.text.rapidocr import RapidOcr
from imgtool.analyzers.text.reading_order import in_reading_order
from imgtool.analyzers.text.tesseract_tsv import DamagedOutput, parse_lines
from imgtool.errors import ModelLoadFailed, ModelMissing
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Box, Problem, Task, TextLine
from imgtool.weights.hashing import sampled_sha256
from imgtool.weights.languages import RAPIDOCR_LANGUAGES
from imgtool.weights.tesseract_languages import find_binary, installed_languages, spoken_names, tesseract_code

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.analyzers.text.letters import LetterRows
    from imgtool.options import EngineOptions

INSTALL = "install it, for example `apt-get install tesseract-ocr tesseract-ocr-kor` or `brew install tesseract-lang`"
_OWN, _ORIENTED, _ONE_COLUMN = 3, 1, 4
"""Page segmentation modes: the program's default, which finds columns; the same after its detection of orientation; and
one column of text of varying sizes, without which it takes rows of Korean syllables for columns and loses lines of
tables and charts. None reads every page that another reads."""

_GAIN, _POOR = 1.05, 0.8
"""Another reading is kept where it says so much more. A page of a lower confidence, by character, may be turned."""

_READ = 0.6
"""Letters under a line of a lower confidence are not read yet."""

_LOOK, _LOOK_AT_ALL, _READ_AGAIN, _SHARE_LEFT = 3, 9, 10, 0.03
"""From how many letters that nobody has read on RapidOCR reads the picture, where something was read and where nothing
was: few may be there by chance. From how many on Tesseract reads it again. For both they must be such a share of the
characters that were read."""

_SHORT = 12
"""A line of so few characters, half of them digits, is the price of the item beside it and no line of a column."""

_CERTAIN = 0.9
"""From which confidence on a line of RapidOCR fills a place where Tesseract has none."""

_LEAST = 0.5
"""A line of a lower confidence is doubtful."""

DPI = 300
"""Stated for every picture: few pictures state it, and the program's guess from the size of the letters made it lose
the table of the same notice."""

_BOTH = ("-c", "tessedit_create_tsv=1", "-c", "tessedit_create_txt=1")
"""Boxes and confidences are in the TSV only, the spaces between Korean words in the plain text only."""

_SHARE, _GRACE_SECONDS = 0.75, 30.0
"""How much of ``--timeout`` the program may take for a picture: this share of it, or all of it except so many seconds
if that is more."""


class Tesseract(Analyzer):
    """The installed ``tesseract``, a process for each reading of a picture, which it reads from standard input.

    It starts once for a picture that it reads well, or in which no letters are to be seen. Where letters are left, they
    are read by another page mode or turned. Where it was not named and stands in for another engine because of a
    language, RapidOCR reads them first, if it is here: Tesseract is made for pages, and of a photo of signs it loses
    lines that RapidOCR reads.
    """

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="tesseract",
        task=Task.TEXT.value,
        version="3",
        backend=Backend.PYTHON,
        summary="lines of text by the installed Tesseract program",
        licence="Apache-2.0",
        workers_pay=True,
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
        beside = _beside(options)
        return Probe(
            True,
            model="+".join(wanted),
            model_version=f"{version}, {sampled_sha256(files)[:12]}",
            notice=f"rapidocr adds lines that it misses, in {', '.join(beside[1])}" if beside else "",
            languages=spoken_names(installed),
            size_bytes=sum(path.stat().st_size for path in files),
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Languages in Tesseract's codes, the page segmentation mode if one is asked for, the program under ``paths``,
        and the ``seconds`` that it may take.

        Raises:
            ModelMissing: the program or every language asked for is missing.
        """
        order = options.ocr.get("order")
        mode = options.ocr.get("psm", _OWN if order == "raw" else None)
        binary = find_binary()
        wanted = _wanted(options, installed_languages(binary)) if binary else []
        if not wanted:
            raise ModelMissing("tesseract or its languages are missing", INSTALL)
        seconds = max(_SHARE * options.timeout, options.timeout - _GRACE_SECONDS)
        arranged: dict[str, Any] = {"order": order} if order in ("columns", "raw") else {}
        paths = {"binary": str(binary)}
        if beside := _beside(options):
            its_own = RapidOcr.parameters(options)
            paths |= its_own.pop("paths")
            arranged["beside"] = {"version": [RapidOcr.spec.version, beside[0]], **its_own}
        return {"paths": paths, "languages": wanted, "psm": mode, "seconds": seconds, **arranged}

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._other: RapidOcr | None = None
        self._other_is_loaded = False
        if (beside := parameters.get("beside")) is not None:
            threads = {"threads": parameters["threads"]} if "threads" in parameters else {}
            self._other = RapidOcr({**beside, **threads, "paths": parameters["paths"]})

    def import_libraries(self) -> None:
        """Import OpenCV, which finds letters."""
        if self.parameters_given["psm"] is None:
            import imgtool.analyzers.text.letters  # noqa: F401

    def warm_up(self) -> None:
        """Have RapidOCR read a drawn word, if it may be needed."""
        if self._other is not None:
            self._loaded(self._other).warm_up()

    def close(self) -> None:
        """Free RapidOCR's models."""
        if self._other is not None and self._other_is_loaded:
            self._other.close()
            self._other_is_loaded = False

    def load(self) -> None:
        """Check that the program still runs; it keeps nothing between pictures. RapidOCR is loaded by the first picture
        that needs it: few do.

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

    def _read(self, picture: Picture) -> tuple[TextLine, ...] | Problem:
        """By the mode that was asked for; else by the program's own, and where letters are left, by more."""
        ends = time.monotonic() + self.parameters_given["seconds"]
        if self.parameters_given["psm"] is not None:
            lines = self._read_once(picture.pixels, self.parameters_given["psm"], ends)
            return lines if isinstance(lines, Problem) else self._doubted(self._arranged(lines))
        from imgtool.analyzers.text.letters import find_letters

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="letters") as beside:
            finding = beside.submit(find_letters, picture.pixels)
            lines = self._read_once(picture.pixels, _OWN, ends)
            seen = finding.result()
        if isinstance(lines, Problem):
            return lines
        lines = self._arranged(lines)
        others: tuple[TextLine, ...] = ()
        read = self._doubted(lines)
        if self._other is not None and _unread(seen, read) >= (_LOOK if any(map(_is_read, lines)) else _LOOK_AT_ALL):
            (answer,) = self._loaded(self._other).run([picture])
            if not isinstance(answer, Problem):
                # Chinese characters that nobody asked for are what it makes of the script that it cannot read.
                unasked = not self.parameters_given["beside"].get("ideographs")
                others = tuple(line for line in answer if not (unasked and has_ideographs(line.text)))
        if _unread(seen, _filled(read, others)) >= _READ_AGAIN:
            read = self._doubted(self._read_again(picture, lines, seen, others, ends))
        return _filled(read, others)

    def _read_again(
        self, picture: Picture, lines: tuple[TextLine, ...], seen: LetterRows, others: tuple[TextLine, ...], ends: float
    ) -> tuple[TextLine, ...]:
        """The best of ``lines`` and further readings: by another mode, and turned if the page may be."""
        import numpy as np

        best = lines
        height, width = picture.pixels.shape[:2]
        across, down = seen.likely_letters([])
        # Rows of letters show how a page lies, but for which end is up.
        readings = [(0, _ORIENTED), (1, _OWN), (3, _OWN)] if down > across else [(0, _ONE_COLUMN)]
        readings += [(0, _ORIENTED), (2, _OWN)] if across >= down else [(2, _OWN)]
        while readings and _unread(seen, _filled(self._doubted(best), others)) >= _READ_AGAIN:
            turn, mode = readings.pop(0)
            if mode != _ONE_COLUMN and not _is_doubtful(best):
                break
            found = self._read_once(np.rot90(picture.pixels, turn), mode, ends)
            if isinstance(found, Problem):
                break  # what was read before is an answer
            if _told(found) > _GAIN * _told(best):
                # The boxes of the program's own turn are those of the picture, and do not say which end is up.
                arranged = found if mode == _ORIENTED else self._arranged(found)
                best = tuple(_turned_back(line, turn, width, height) for line in arranged)
                if turn and mode == _OWN:
                    readings.insert(0, (turn, _ONE_COLUMN))
        return best

    def _loaded(self, other: RapidOcr) -> RapidOcr:
        if not self._other_is_loaded:
            other.import_libraries()
            other.load()
            self._other_is_loaded = True
        return other

    def _doubted(self, lines: tuple[TextLine, ...]) -> tuple[TextLine, ...]:
        return with_doubts(lines, self.spec.name, 0.0 if self.parameters_given.get("order") == "raw" else _LEAST)

    def _arranged(self, lines: tuple[TextLine, ...]) -> tuple[TextLine, ...]:
        """In reading order where that was asked for, or where the program takes rows for columns."""
        given = self.parameters_given
        if given.get("order") == "columns" or (given["psm"] is None and _are_rows(lines)):
            return in_reading_order(lines)
        return lines

    def _read_once(self, pixels: NDArray[np.uint8], mode: int, ends: float) -> tuple[TextLine, ...] | Problem:
        """What the program reads by ``mode`` until ``ends``, in seconds of the monotonic clock."""
        height, width = pixels.shape[:2]
        given = self.parameters_given
        how = ["-l", "+".join(given["languages"]), "--psm", str(mode), "--dpi", str(DPI)]
        header = f"P6\n{width} {height}\n255\n".encode()
        # Messages and numbers in the C locale. One thread: Tesseract's threads wait busily for each other, and two of
        # them on busy cores were measured to take more than five times as long as one.
        environment = {**os.environ, "LC_ALL": "C", "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(
                [given["paths"]["binary"], "-", "-", *how, *_BOTH],
                input=header + pixels.tobytes(),
                capture_output=True,
                env=environment,
                timeout=max(0.01, ends - time.monotonic()),
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


def _beside(options: EngineOptions) -> tuple[str, list[str]] | None:
    """The version of RapidOCR that reads, too, and the languages that it reads; ``None`` where Tesseract was asked for
    by name or by a way of its own, where RapidOCR is not here, or reads none of the languages, or all of them."""
    if options.text_engine == "tesseract" or "psm" in options.ocr or options.ocr.get("order") == "raw":
        return None
    read = [language for language in options.languages if language in RAPIDOCR_LANGUAGES]
    if not read or len(read) == len(options.languages):
        return None
    probe = RapidOcr.probe(options)
    return (probe.model_version, read) if probe.available else None


def _unread(seen: LetterRows, lines: Sequence[TextLine]) -> float:
    """How many letters seem to be left under no line that can be believed; 0 where they are a small share."""
    read = [line for line in lines if _is_read(line)]
    left = sum(seen.likely_letters([line.box for line in read]), 0.0)
    return left if left >= _SHARE_LEFT * sum(len(line.text) for line in read) else 0.0


def _is_read(line: TextLine) -> bool:
    return line.confidence >= _READ


def _are_rows(lines: Sequence[TextLine]) -> bool:
    """Whether upright lines are to be read row by row: of those side by side one is a number, as on a receipt, or none
    are side by side, as in a chat. Columns are left to the program, which sees the rules and gaps between them."""
    if any(len(line.text) > 3 and _is_upended(line.box) for line in lines):
        return False
    pairs = numbers = 0
    for number, one in enumerate(lines):
        for other in lines[:number]:
            (left, top), (right, bottom) = one.box[0], one.box[2]
            (other_left, other_top), (other_right, other_bottom) = other.box[0], other.box[2]
            shared = min(bottom, other_bottom) - max(top, other_top)
            if shared > 0.1 * min(bottom - top, other_bottom - other_top) and (
                other_right <= left or right <= other_left
            ):
                pairs += 1
                numbers += _is_number(one.text) or _is_number(other.text)
    return 3 * numbers >= 2 * pairs


def _is_number(text: str) -> bool:
    return len(text) <= _SHORT and 2 * sum(map(str.isdigit, text)) >= len(text)


def _filled(lines: tuple[TextLine, ...], others: tuple[TextLine, ...]) -> tuple[TextLine, ...]:
    """Tesseract's lines, and those of RapidOCR that are certain where Tesseract has none or is in doubt."""
    kept = list(lines)
    for other in others:
        there = [line for line in kept if _meet(line.box, other.box)]
        if other.doubt or other.confidence < _CERTAIN or any(line.doubt is None for line in there):
            continue
        kept = [line for line in kept if line not in there] + [other]
    return lines if kept == list(lines) else in_reading_order(kept)


def _meet(one: Box, other: Box) -> bool:
    """Whether the middle of one box lies in the other."""
    return _holds(one, other) or _holds(other, one)


def _holds(box: Box, other: Box) -> bool:
    (left, right), (top, bottom) = ([min(axis), max(axis)] for axis in zip(*box, strict=True))
    x, y = (sum(axis) / len(other) for axis in zip(*other, strict=True))
    return left <= x <= right and top <= y <= bottom


def _told(lines: Sequence[TextLine]) -> float:
    """How much was read: characters, by how far their line's confidence is above a half, at which garbage lies."""
    return sum(len(line.text) * max(0.0, line.confidence - 0.5) for line in lines)


def _is_doubtful(lines: Sequence[TextLine]) -> bool:
    """Whether the page may be turned: no text, a low mean confidence, or a long line that is higher than wide."""
    upended = [line for line in lines if len(line.text) > 3 and _is_upended(line.box)]
    told = sum(len(line.text) * line.confidence for line in lines)
    return bool(upended) or told <= _POOR * sum(len(line.text) for line in lines)


def _is_upended(box: Box) -> bool:
    return box[2][1] - box[0][1] > box[2][0] - box[0][0]


def _turned_back(line: TextLine, turn: int, width: int, height: int) -> TextLine:
    """``line`` of a picture that was turned anticlockwise ``turn`` times, in one of ``width`` x ``height`` pixels."""
    places = {
        0: lambda x, y: (x, y),
        1: lambda x, y: (width - y, x),
        2: lambda x, y: (width - x, height - y),
        3: lambda x, y: (y, height - x),
    }
    one, two, three, four = (places[turn](*corner) for corner in line.box)
    return TextLine(line.text, line.confidence, (one, two, three, four))


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
