"""What users would write for text alone: construct RapidOCR once, loop, print. It writes imgtool's trace."""

from __future__ import annotations

import json
import sys

from imgtool import trace


def main() -> None:
    """Read every image that is named on the command line."""
    from rapidocr import RapidOCR

    trace.process_started("parent")
    with trace.span("rapidocr", "load", task="text", backend="onnx"):
        engine = RapidOCR(params={"Global.log_level": "error"})
    for number, path in enumerate(sys.argv[1:]):
        found = engine(path)
        with trace.span("write", "parent"):
            print(json.dumps({"path": path, "text": found.txts or ()}, ensure_ascii=False), flush=True)  # noqa: T201
        if not number:
            trace.mark("first result")
    trace.mark("last result")
