"""PNG, JPEG and TIFF: films and photographs as scans one voxel deep, of which the spacing is not known.

Pillow cuts 16 bits of a colour to 8 without a word, turns over a TIFF whose 0 is white if it has 8 bits but not if it
has 16, and mixes up the rows of an uncompressed TIFF that lies on its side (EXIF orientation 5 to 8, Pillow 13.0). So
deep colour in PNG is read by SimpleITK (torchvision's reader ends the process on a damaged file), and such TIFF by
tifffile. Dots per inch in these formats are those of a printer, not of the film: they are not taken for a spacing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE, check_size, faults_of
from scanweave.studies.geometry import Geometry
from scanweave.studies.scan import COLOURS, Scan

Array = NDArray[Any]

EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)
"""EXIF orientations in which rows and columns are exchanged."""
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
"""TIFF tags: columns, rows, bits a sample, how it is packed, what 0 means, samples a pixel."""
_GREY = ("1", "L", "I;16", "I;16B", "I", "F")
_COLOUR = ("RGB", "RGBA", "RGBX", "LA", "PA", "CMYK", "YCbCr", "P")
_LIMIT = "Cut it to what is needed: pictures of so many pixels are slides, not films"


@dataclass(frozen=True)
class _Header:
    """Header of a picture: its own width and height, EXIF orientation, mode, bits and the meaning of 0."""

    format: str
    size: tuple[int, int]
    mode: str
    bits: int
    samples: int
    turn: int
    zero_is_white: bool
    frames: int
    plain: bool
    """Whether it is a TIFF without compression."""

    @property
    def upright(self) -> tuple[int, int]:
        return (self.size[1], self.size[0]) if self.turn in TURNED else self.size


def read_picture(path: Path, *, labels: bool = False) -> Scan:
    """Open a PNG, JPEG or TIFF; the header is read now, the pixels on first use.

    Axes: columns from left to right, rows from top to bottom, depth 1; a photograph has the channels red, green, blue.
    EXIF orientation is applied; a transparency channel is dropped.

    Args:
        path: The file.
        labels: Whether it is a label map, so that a palette's numbers are meant and not its colours.

    Raises:
        ScanweaveError: The file is damaged, too large, or holds several pages.
    """
    header = _read_header(path)
    if header.frames > 1 and header.format != "MPO":  # whose further pictures are previews
        reason = f"holds {header.frames} pages or frames"
        raise ScanweaveError(path, reason, "Export the one that is meant, or a volume as NIfTI")
    if header.mode not in (*_GREY, *_COLOUR):
        raise ScanweaveError(path, f"is of the colour mode {header.mode}", "Export it as grey or RGB")
    indexed = header.mode == "P" and labels
    grey = header.mode in _GREY or indexed or (header.mode == "P" and _is_grey_ramp(path))
    width, height = header.upright
    shape = (width, height, 1) if grey else (width, height, 1, len(COLOURS))
    stored = max(1, header.bits // 8)
    check_size(path, shape, stored, path.stat().st_size)

    def load() -> Array:
        with faults_of(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is told in one line, by an error
            pixels = _decoder(header)(path, grey, indexed)
        if header.mode == "1" and labels:
            pixels = np.asarray(pixels > 0, np.uint8)
        expected = (height, width) if grey else (height, width, len(COLOURS))
        if pixels.shape != expected:
            raise ScanweaveError(path, f"its pixels have the shape {pixels.shape}, not {expected}", ADVICE)
        return np.ascontiguousarray(np.swapaxes(pixels, 0, 1)).reshape(shape)

    return Scan(
        Geometry.of_film(width, height), load, path=path, notes=_notes(header), channels=None if grey else COLOURS
    )


def _read_header(path: Path) -> _Header:
    try:
        with faults_of(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                tags: Any = getattr(image, "tag_v2", {})
                bits = max(tags.get(BITS, (8,))) if image.format == "TIFF" else _depth(path, image)
                size = (tags.get(WIDTH), tags.get(HEIGHT)) if image.format == "TIFF" else image.size
                return _Header(
                    str(image.format),
                    (int(size[0]), int(size[1])),  # of a TIFF as it is stored: Pillow has turned the other one
                    image.mode,
                    int(bits),
                    int(tags.get(SAMPLES, 1)) if image.format == "TIFF" else len(image.getbands()),
                    int(image.getexif().get(EXIF_ORIENTATION, 1)),
                    image.format == "TIFF" and tags.get(PHOTOMETRIC) == 0,
                    int(getattr(image, "n_frames", 1)),
                    tags.get(COMPRESSION) == 1,
                )
    except Image.DecompressionBombError as error:
        raise ScanweaveError(path, f"more pixels than are decoded ({Image.MAX_IMAGE_PIXELS * 2})", _LIMIT) from error  # type: ignore[operator]
    except SyntaxError as error:  # what Pillow raises on a broken PNG
        raise ScanweaveError(path, f"not a valid image file ({error})", ADVICE) from error


def _depth(path: Path, image: Image.Image) -> int:
    """Return the number of bits a sample of a PNG or JPEG."""
    if image.format != "PNG":
        return 8
    with path.open("rb") as stream:
        return stream.read(25)[24]


def _is_grey_ramp(path: Path) -> bool:
    """Tell whether the colours of a palette are all grey."""
    with faults_of(path), Image.open(path) as image:
        palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _decoder(header: _Header) -> Callable[[Path, bool, bool], Array]:
    turned_tiff = header.format == "TIFF" and header.turn in TURNED and header.plain
    if header.bits <= 8 and not turned_tiff:
        return _by_pillow
    if header.format == "TIFF":
        return lambda path, grey, indexed: _turned(_by_tifffile(path, header, grey), header.turn)
    if header.mode in _GREY:
        return _by_pillow
    return lambda path, grey, indexed: _turned(_by_itk(path), header.turn)


def _by_pillow(path: Path, grey: bool, indexed: bool) -> Array:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if not (indexed or upright.mode in _GREY):
            upright = upright.convert("L" if grey else "RGB")
        pixels = np.asarray(upright)
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels


def _by_tifffile(path: Path, header: _Header, grey: bool) -> Array:
    import tifffile

    pixels: Array = tifffile.imread(path)
    if header.samples > 1 and pixels.shape[0] == header.samples and pixels.shape[-1] != header.samples:
        pixels = np.moveaxis(pixels, 0, -1)  # samples stored as planes
    if header.zero_is_white and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    return pixels if grey else pixels[..., : len(COLOURS)]


def _by_itk(path: Path) -> Array:
    itk = require("SimpleITK", "itk")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = itk.ImageFileReader()
    reader.SetImageIO("PNGImageIO")
    reader.SetFileName(str(path))
    return np.asarray(itk.GetArrayFromImage(reader.Execute()))[..., : len(COLOURS)]


def _turned(pixels: Array, turn: int) -> Array:
    """Turn rows and columns as EXIF orientation `turn` says."""
    if turn in TURNED:
        pixels = np.swapaxes(pixels, 0, 1)
    flipped = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(turn, ())
    return np.flip(pixels, flipped)


def _notes(header: _Header) -> tuple[Finding, ...]:
    notes = []
    if header.turn in range(2, 9):
        notes.append(Finding("turned", "repaired", f"EXIF orientation {header.turn}", "turned upright"))
    if header.mode in ("RGBA", "LA", "PA"):
        notes.append(Finding("transparency", "repaired", "has a transparency channel", "it is dropped"))
    if header.mode == "CMYK":
        notes.append(Finding("colour", "repaired", "in the colours of a printer (CMYK)", "read as RGB"))
    if header.zero_is_white:
        notes.append(Finding("inverted", "repaired", "0 is white in this TIFF", "read so that 0 is black"))
    return tuple(notes)
