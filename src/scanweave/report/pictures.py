"""Pictures as data URIs: small enough that a report can be kept and sent as one file."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.figure
from PIL import Image, UnidentifiedImageError

from scanweave.errors import ScanweaveError

DPI = 200
"""Dots per inch of a figure: two for every pixel of the page, for sharp screens and print."""

MAX_PIXELS = 50_000_000
"""A picture given as bytes with more pixels than this is refused before it is decoded."""

KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its size on the page.

    Attributes:
        kind: MIME type.
        data: The file's bytes.
        width: Width [CSS pixels] at full size.
        height: Height [CSS pixels] at full size.
    """

    kind: str
    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a `data:` address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"

    @property
    def raster(self) -> bool:
        """True if it is made of pixels and can be made smaller."""
        return self.kind != "image/svg+xml"

    def smaller(self, scale: float) -> Picture:
        """Return it with fewer pixels at the same size on the page."""
        image = Image.open(io.BytesIO(self.data)).convert("RGB")
        width, height = (max(round(edge * scale), 1) for edge in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        kind, data = _smallest(image)
        return Picture(kind, data, self.width, self.height)


def picture(source: matplotlib.figure.Figure | bytes, vector: bool) -> Picture:
    """Encode a matplotlib figure, or take over the bytes of a PNG or JPEG.

    XML is not taken over, for it can hold any text and refer to any place.

    Raises:
        ScanweaveError: The bytes are none of these, or hold too many pixels.
    """
    if not isinstance(source, bytes):
        return _drawn(source, vector)
    kind = next((kind for start, kind in KINDS.items() if source.startswith(start)), None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(source)).size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
        kind, width, height = None, 0, 0
    if kind is None or width * height > MAX_PIXELS:
        raise ScanweaveError("picture", "it is no PNG or JPEG of sensible size", "Give one, or a matplotlib figure")
    return Picture(kind, source, width // 2, height // 2)


def _drawn(figure: matplotlib.figure.Figure, vector: bool) -> Picture:
    buffer = io.BytesIO()
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    if vector:
        with mpl.rc_context({"svg.hashsalt": "scanweave"}):
            figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
        return Picture("image/svg+xml", buffer.getvalue(), width, height)
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    kind, data = _smallest(Image.open(buffer).convert("RGB"))
    return Picture(kind, data, width, height)


def _smallest(image: Image.Image) -> tuple[str, bytes]:
    """Return PNG, or JPEG where that is clearly smaller (photographs and noisy scans)."""
    encoded = []
    for name, settings in (("PNG", {"optimize": True}), ("JPEG", {"quality": 90, "subsampling": 0})):
        buffer = io.BytesIO()
        image.save(buffer, name, **settings)
        encoded.append(buffer.getvalue())
    png, jpeg = encoded
    return ("image/jpeg", jpeg) if len(jpeg) < 0.7 * len(png) else ("image/png", png)
