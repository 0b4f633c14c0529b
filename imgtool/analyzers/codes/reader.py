"""``codes``: barcodes and QR codes in the pixels, customs tariff numbers in the text that was recognised."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.codes.hs import MIN_CONFIDENCE, table
from imgtool.analyzers.codes.links import make_links
from imgtool.analyzers.codes.zxing import zxing_version
from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.distribution import install_command
from imgtool.errors import ModelLoadFailed
from imgtool.inference.picture import Picture
from imgtool.parameters import LINKS
from imgtool.types import Backend, Chapter, Code, Problem, Task, TextLine

if TYPE_CHECKING:
    from imgtool.analyzers.codes.barcodes import Barcode
    from imgtool.analyzers.codes.hs.find import HsCode
    from imgtool.options import EngineOptions


def _remedy() -> str:
    return f"reinstall imgtool with its dependencies: `{install_command(again=True)}`"


class CodeReader(Analyzer):
    """Finds both kinds of codes. An image whose text could not be read gets a problem instead of an answer: an answer
    without tariff numbers would be cached as if there were none."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="codes",
        task=Task.CODES.value,
        version="1",
        backend=Backend.PYTHON,
        summary="barcodes and QR codes by zxing-cpp; customs tariff numbers (HS codes) in the recognised text",
        licence="Apache-2.0",
        after=(Task.TEXT,),
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if zxing-cpp, numpy and OpenCV are installed; tariff numbers alone need none of them."""
        find = options.codes_looked_for
        missing = [name for name in ("zxingcpp", "numpy", "cv2") if find != "hs" and find_spec(name) is None]
        if missing:
            return Probe(False, reason=f"{' and '.join(missing)} cannot be imported", remedy=_remedy())
        edition = table.EDITION if table.FILE.exists() else "no table of HS codes"
        return Probe(
            True,
            model="barcodes" if find == "barcodes" else edition,
            model_version="" if find == "hs" else zxing_version(),
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """``find``: which codes; ``links``: templates of links; ``min_confidence``: of tariff numbers."""
        given = options.codes
        return {
            "find": options.codes_looked_for,
            "links": list(given.get("links", LINKS)),
            "min_confidence": given.get("min_confidence", MIN_CONFIDENCE),
        }

    def import_libraries(self) -> None:
        """Import zxing-cpp and OpenCV, if barcodes are wanted."""
        if self.parameters_given["find"] != "hs":
            import imgtool.analyzers.codes.barcodes  # noqa: F401

    def load(self) -> None:
        """Import zxing-cpp and read the table of HS codes.

        Raises:
            ModelLoadFailed: zxing-cpp or OpenCV is installed but cannot be imported.
        """
        from imgtool.analyzers.codes.hs import confidence, find  # noqa: F401

        try:
            self.import_libraries()
        except ImportError as error:
            raise ModelLoadFailed(f"zxing-cpp or OpenCV cannot be loaded: {error}", _remedy()) from error
        table.load()
        confidence.load()

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """A tuple of :class:`imgtool.types.Code` for each picture."""
        return [self._run_one(picture) for picture in pictures]

    def _run_one(self, picture: Picture) -> Answer | Problem:
        found: list[Code] = []
        given = self.parameters_given
        if given["find"] != "hs":
            from imgtool.analyzers.codes.barcodes import read_barcodes

            found += [_of_barcode(each) for each in read_barcodes(picture.pixels, given.get("threads", 1))]
        if given["find"] != "barcodes":
            lines: Sequence[TextLine] | None = picture.answers.get(Task.TEXT)
            if lines is None:
                return Problem(
                    "text_missing",
                    "tariff numbers are found in the text, and the text of this image could not be read",
                    "see why the task text failed, or use --codes find=barcodes",
                )
            from imgtool.analyzers.codes.hs.find import find_hs_codes

            codes = find_hs_codes(lines, min_confidence=given["min_confidence"])
            found += [_of_hs_code(each, given["links"]) for each in codes]
        return tuple(found)


def _of_barcode(found: Barcode) -> Code:
    evidence = ("check: passed",) if found.checked else ("check: none in this symbology",)
    return Code(
        kind=found.kind,
        value=found.value,
        confidence=found.confidence,
        box=found.box,
        checked=found.checked,
        evidence=evidence,
    )


def _of_hs_code(found: HsCode, templates: Sequence[str]) -> Code:
    from imgtool.analyzers.codes.hs.chapters import CHAPTERS

    number = found.hs[:2]
    return Code(
        kind="hs",
        value=found.value,
        confidence=found.confidence,
        box=found.box,
        normalised=found.hs,
        national=found.national,
        checked=found.checked,
        edition=found.edition,
        chapter=Chapter(number, *CHAPTERS[number]),
        evidence=found.evidence,
        links=make_links(found, templates),
    )
