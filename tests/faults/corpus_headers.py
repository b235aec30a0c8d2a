"""Headers of images that chance damaged: text (NRRD, MetaImage) line by line, binary ones (NIfTI, MGH) field by field.

All are made at run time from seeds and are met by our own reading of headers alone. `SCANWEAVE_FAULTS=20` makes twenty
times as many.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import nibabel as nib
import numpy as np
from corpus_nifti import exercise
from fault import Fault, affine, texture

TIMES = int(os.environ.get("SCANWEAVE_FAULTS", "1"))
SHAPE = (10, 12, 14)
NRRD = """NRRD0004
# texture
type: short
dimension: 3
space: left-posterior-superior
sizes: 10 12 14
space directions: (10,0,0) (0,10,0) (0,0,10)
kinds: domain domain domain
endian: little
encoding: gzip
space origin: (-80,-90,-100)
space units: "mm" "mm" "mm"
note:=of the user

"""
META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = -80 -90 -100
ElementSpacing = 10 10 10
DimSize = 10 12 14
ElementNumberOfChannels = 1
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
HOSTILE = (
    *("", "-1", "0", "nan", "inf", "-inf", "1e308", "1e-308", "99999999999999999999", "2147483647", "4294967296"),
    *("0x10", "1_0", "٣", "%d", "%s%s%n", "a%09d.raw 0 99999999 1", "LIST", "LIST 99", "../../x", "/dev/zero", "."),
    *(
        "(",
        "()",
        "((1,2,3)",
        "none",
        "none none none",
        "(1,0,0) (0,1,0) (nan,0,1)",
        '"furlong"',
        '"',
        "True",
        "x" * 5000,
    ),
    *(
        "1 " * 3000,
        "10 12 14 1",
        "10 12",
        "1 1 1",
        "32767 32767 32767",
        "big",
        "bzip2",
        "ascii",
        "MET_DOUBLE",
        "double",
    ),
    *("left-posterior-superior-time", "scanner-xyz", "4", "16", "2", "\0", "\r", "a:=b", "="),
)
"""Values for any field; `/dev/zero` is refused as a name before anything is opened."""


def damaged_text(folder: Path, name: str, header: str, data: bytes, seed: int) -> None:
    """Write an image whose header was hit one to three times."""
    chance = np.random.default_rng([13, seed])
    lines = header.split("\n")
    for _ in range(chance.integers(1, 4)):
        _EDITS[chance.integers(len(_EDITS))](lines, chance)
    content = bytearray("\n".join(lines).encode("utf-8", "surrogateescape"))
    if chance.random() < 0.2:
        content[chance.integers(len(content))] ^= 1 << chance.integers(8)
    whole = bytes(content) + data
    (folder / name).write_bytes(whole[: chance.integers(len(whole))] if chance.random() < 0.1 else whole)


def _line(lines: list[str], chance: np.random.Generator) -> int:
    return int(chance.integers(max(1, len(lines) - 1)))


def _other_value(lines: list[str], chance: np.random.Generator) -> None:
    at = _line(lines, chance)
    separator = next((one for one in ("=", ":") if one in lines[at]), ":")
    lines[at] = f"{lines[at].partition(separator)[0]}{separator} {HOSTILE[chance.integers(len(HOSTILE))]}"


def _other_number(lines: list[str], chance: np.random.Generator) -> None:
    at = _line(lines, chance)
    words = lines[at].split(" ")
    words[chance.integers(len(words))] = HOSTILE[chance.integers(len(HOSTILE))]
    lines[at] = " ".join(words)


def _without(lines: list[str], chance: np.random.Generator) -> None:
    if len(lines) > 1:
        del lines[_line(lines, chance)]


def _twice(lines: list[str], chance: np.random.Generator) -> None:
    at = _line(lines, chance)
    lines.insert(_line(lines, chance), lines[at] + (" 1" if chance.random() < 0.5 else ""))


def _elsewhere(lines: list[str], chance: np.random.Generator) -> None:
    if len(lines) > 1:
        lines.insert(_line(lines, chance), lines.pop(_line(lines, chance)))


def _no_words(lines: list[str], chance: np.random.Generator) -> None:
    lines[_line(lines, chance)] = chance.bytes(40).decode("latin-1")


_EDITS: tuple[Callable[[list[str], np.random.Generator], None], ...] = (
    *(_other_value, _other_value, _other_number, _other_number),
    *(_without, _twice, _elsewhere, _no_words),
)


@cache
def binary(name: str) -> bytes:
    """A valid image of nibabel's, unpacked."""
    image = (nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image)(texture(SHAPE), affine())
    return bytes(image.to_bytes())


def damaged_binary(folder: Path, name: str, seed: int) -> None:
    """Write an image with one to four bytes of its header changed, most often to an extreme."""
    chance, content = np.random.default_rng([14, seed]), bytearray(binary(name))
    for _ in range(chance.integers(1, 5)):
        at = int(chance.integers(90 if name.endswith("mgz") else 348))
        content[at] = chance.choice([0, 1, 127, 128, 255, int(chance.integers(256))])
    (folder / name).write_bytes(gzip.compress(bytes(content), 1) if name.endswith("z") else bytes(content))


def faults() -> Iterator[Fault]:
    """All of them, each by its seed."""
    voxels = texture(SHAPE).tobytes(order="F")
    for seed in range(120 * TIMES):
        make = partial(damaged_text, name="image.nrrd", header=NRRD, data=gzip.compress(voxels), seed=seed)
        yield Fault("damaged NRRD", f"seed {seed}", make, exercise, "any")
        make = partial(damaged_text, name="image.mha", header=META, data=voxels, seed=seed)
        yield Fault("damaged MetaImage", f"seed {seed}", make, exercise, "any")
    for seed in range(40 * TIMES):
        for name in ("image.nii", "image.mgz"):
            make = partial(damaged_binary, name=name, seed=seed)
            yield Fault(f"damaged {name}", f"seed {seed}", make, exercise, "any")
