"""``imgtool schema``: the JSON Schema of a result."""

from __future__ import annotations

from imgtool.cli.boundary import boundary


def schema() -> None:
    """Print the JSON Schema of one result object."""
    with boundary():
        from imgtool.cli.console import print_json
        from imgtool.types import result_schema

        print_json(result_schema())
