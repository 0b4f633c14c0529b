"""``imgtool schema``: the JSON Schema of a result."""

from __future__ import annotations

import sys

from imgtool.cli.boundary import boundary


def schema() -> None:
    """Print the JSON Schema of one result object."""
    with boundary():
        import msgspec

        from imgtool.types import result_schema

        text = msgspec.json.format(msgspec.json.encode(result_schema()), indent=2).decode()
        sys.stdout.write(text + "\n")
