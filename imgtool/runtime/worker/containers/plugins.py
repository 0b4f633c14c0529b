"""Pillow's modules and packages for formats that are not met in every run."""

from __future__ import annotations

from PIL import Image

from imgtool.distribution import install_command
from imgtool.image_formats import PLAIN_FORMATS
from imgtool.runtime.worker.decode_errors import DecodeError


def load_plugin(name: str) -> None:
    """Have Pillow read the format ``name``.

    Raises:
        DecodeError: that needs a package that is not installed.
    """
    if name in PLAIN_FORMATS:
        __import__(f"PIL.{PLAIN_FORMATS[name]}")
    if name not in ("HEIF", "JXL"):
        return
    try:
        if name == "HEIF":
            import pillow_heif

            if name not in Image.OPEN:
                pillow_heif.register_heif_opener()
        else:
            import pillow_jxl  # noqa: F401
    except ImportError as error:
        what, extra = ("HEIC and HEIF", "heif") if name == "HEIF" else ("JPEG XL", "jxl")
        raise DecodeError("unsupported", f"{what} images need an optional decoder", install_command(extra)) from error
