"""Studies and scans as a notebook shows them: a small picture of the middle slice, and facts beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scanweave.errors import ScanweaveError
from scanweave.studies.geometry import orient

if TYPE_CHECKING:
    from scanweave.studies.scan import Scan

SIDE_PIXELS = 180
"""Longer side of a picture: four stand side by side in a notebook."""
DARK, BRIGHT = 0.5, 99.5
"""Percentiles shown as black and white."""


def scan_preview(scan: Scan) -> str:
    """Return a scan as HTML: its middle axial slice in true proportions, or why it cannot be read."""
    try:
        picture = _encoded(middle_slice(scan))
    except ScanweaveError as error:
        return f"<div>{escape(str(error))}</div>"
    return f'<img alt="middle slice" src="data:image/png;base64,{picture}">'


def scan_page(scan: Scan) -> str:
    """Return a scan as HTML: its picture below what it is."""
    return titled(repr(scan)[1:-1], {}, [("", scan_preview(scan))])


def middle_slice(scan: Scan) -> Image.Image:
    """Return the middle axial slice of a scan as a grey or colour picture, the first frame of a series.

    Front and head are on top, and the patient's right is on the left; a film stands as it is.

    Raises:
        ScanweaveError: It cannot be read.
    """
    data = np.asarray(scan.data)
    data = data[..., 0] if scan.frames else data
    spacing = scan.geometry.spacing
    if scan.geometry.is_placed:
        data, spacing = orient(data, scan.geometry, "RAS"), scan.geometry.oriented("RAS").spacing
        shown = np.moveaxis(data[:, :, data.shape[2] // 2], 0, 1)[::-1, ::-1]
    else:
        shown = np.moveaxis(data[:, :, data.shape[2] // 2], 0, 1)
    height, width = shown.shape[0] * spacing[1], shown.shape[1] * spacing[0]
    scale = SIDE_PIXELS / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(_grey(shown)).resize(size, Image.Resampling.BILINEAR)


def titled(title: str, facts: Mapping[str, object], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Return HTML of a title, facts in a row each, and pictures side by side with a caption each.

    Args:
        title: Plain text.
        facts: Plain texts by label.
        pictures: Caption, plain text, and HTML.
    """
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{escape(str(fact))}</td></tr>" for label, fact in facts.items() if fact != ""
    )
    shown = "".join(
        f'<figure style="display:inline-block;margin:4px;vertical-align:top">{html}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, html in pictures
    )
    return f"<div><b>{escape(title)}</b><div>{shown}</div><table>{rows}</table></div>"


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.ndim == 3 and values.dtype == np.uint8:
        return np.ascontiguousarray(values[..., :3])
    plain = values.astype(np.float32) if values.ndim == 2 else values.astype(np.float32).mean(axis=-1)
    finite = plain[np.isfinite(plain)]
    low, high = np.percentile(finite, [DARK, BRIGHT]) if finite.size else (0.0, 1.0)
    if high <= low:  # a label map, of which little is not background
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    share = np.nan_to_num((plain - low) / (high - low or 1.0), nan=0.0, posinf=1.0, neginf=0.0)
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)


def _encoded(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")
