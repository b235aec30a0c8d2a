"""Voxels as files store them: one number after the other, plain or packed, read slab by slab and to the checksum."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.studies.findings import Finding
from scanweave.studies.formats.header_limits import ADVICE

Coding = Literal["raw", "gzip", "zlib", "bzip2", "text"]
"""Packing of numbers; `text`: written out, with white space between them."""

SLAB = 2**18
"""Voxels that are decoded at once, so that little more is held than the float32 array."""

MAX_TAIL = 2**20
"""Bytes after the voxels that are passed over on the way to the checksum of a packed file."""

LONGEST_NUMBER = 64
"""Characters of one number in text; a longer one is none."""

GZIP_START = b"\x1f\x8b"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _ZlibStream(io.RawIOBase):
    """Content of a zlib stream, read in parts; its checksum and its end are insisted on."""

    def __init__(self, packed: _Readable) -> None:
        self._packed, self._inflate, self._rest = packed, zlib.decompressobj(wbits=47), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._inflate.eof:
            source = self._rest or self._packed.read(2**16)
            if not source:
                raise EOFError("the compressed stream ends too early")
            content = self._inflate.decompress(source, len(view))
            self._rest = self._inflate.unconsumed_tail
            if content:
                view[: len(content)] = content
                return len(content)
        return 0


def is_gzip(path: Path) -> bool:
    """Tell by its first bytes whether a file is packed by gzip, whatever it is called."""
    with path.open("rb") as stream:
        return stream.read(2) == GZIP_START


def opened(path: Path) -> gzip.GzipFile | BinaryIO:
    """Open a file, unpacked if its first bytes are those of gzip."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


@dataclass(frozen=True)
class Voxels:
    """The numbers of an image as they are stored: in which files, from where on, in which coding.

    Attributes:
        path: The file that speaks for the image, which errors name.
        parts: Files that hold equal shares of the numbers, in order.
        dtype: Type and byte order of one number.
        count: Numbers in all.
        coding: How they are packed.
        offset: Bytes before them in each part; None: they are the last of it.
        lines: Lines of text to pass over after `offset`.
        inner: Bytes before them in what is unpacked.
        footer: Whether the format has something to say behind them.
    """

    path: Path
    parts: tuple[Path, ...]
    dtype: np.dtype[Any]
    count: int
    coding: Coding = "raw"
    offset: int | None = 0
    lines: int = 0
    inner: int = 0
    footer: bool = False

    @classmethod
    def binary(
        cls, path: Path, body: Path, dtype: np.dtype[Any], count: int, offset: int, footer: bool = False
    ) -> Voxels:
        """Return numbers that follow `offset` bytes in a file, which gzip packs as a whole or not at all."""
        if is_gzip(body):
            return cls(path, (body,), dtype, count, "gzip", inner=offset, footer=footer)
        return cls(path, (body,), dtype, count, offset=offset, footer=footer)

    @property
    def stored(self) -> int:
        """Size of all parts [bytes].

        Raises:
            OSError: One is absent.
        """
        return sum(part.stat().st_size for part in self.parts)

    def check(self) -> list[Finding]:
        """Return what is peculiar about the length of plain numbers.

        Raises:
            ScanweaveError: They are fewer than claimed, or do not part evenly into the files.
        """
        if not self.parts or self.count % len(self.parts):
            words = f"its {self.count} voxels do not part evenly into {len(self.parts)} files"
            raise ScanweaveError(self.path, words, ADVICE)
        if self.coding != "raw":
            return []
        more = 0
        for part in self.parts:
            needed = (self.offset or 0) + self.inner + self._share * self.dtype.itemsize
            there = part.stat().st_size
            if there < needed:
                where = "" if part == self.path else f"{part.name} "
                words = f"truncated: {where}has {there} bytes of the {needed} that its header claims"
                raise ScanweaveError(self.path, words, ADVICE)
            more += 0 if self.offset is None or self.lines or self.footer else there - needed
        if not more:
            return []
        words = f"holds {more} bytes more than its header claims"
        return [Finding("length", "suspect", words, "Check the size that its header gives")]

    def read(self) -> NDArray[np.float32]:
        """Read all numbers, `(count,)`; packed ones to the very end, where their checksum is.

        Raises:
            ScanweaveError: They are fewer than claimed, or followed by far more.
            OSError, EOFError, zlib.error, ValueError: A file is damaged.
        """
        values = np.empty(self.count, dtype=np.float32)
        for number, part in enumerate(self.parts):
            share = values[number * self._share : (number + 1) * self._share]
            with self._opened(part) as stream:
                _fill_text(self.path, stream, share) if self.coding == "text" else self._fill(stream, share)
        return values

    @property
    def _share(self) -> int:
        return self.count // max(1, len(self.parts))

    @contextmanager
    def _opened(self, part: Path) -> Iterator[Any]:
        """Open a part where its numbers begin."""
        with part.open("rb") as file:
            last = self._share * self.dtype.itemsize
            file.seek(part.stat().st_size - last if self.offset is None else self.offset)
            for _ in range(self.lines):
                file.readline(MAX_TAIL)
            stream: Any = file
            if self.coding == "gzip":
                stream = gzip.GzipFile(fileobj=file, mode="rb")
            elif self.coding == "bzip2":
                stream = bz2.BZ2File(file)
            elif self.coding == "zlib":
                stream = io.BufferedReader(_ZlibStream(file), 2**16)
            for start in range(0, self.inner, SLAB):
                stream.read(min(SLAB, self.inner - start))
            yield stream

    def _fill(self, stream: Any, values: NDArray[np.float32]) -> None:
        size = self.dtype.itemsize
        for start in range(0, values.size, SLAB):
            slab = values[start : start + SLAB]
            content = stream.read(slab.size * size)
            if len(content) < slab.size * size:
                there, needed = start * size + len(content), values.size * size
                words = f"truncated: holds {there} bytes of voxels, its header claims {needed}"
                raise ScanweaveError(self.path, words, ADVICE)
            slab[:] = np.frombuffer(content, dtype=self.dtype)
        if self.coding != "raw" and len(stream.read(MAX_TAIL)) == MAX_TAIL:
            raise ScanweaveError(self.path, "holds far more than its header claims", ADVICE)


def _fill_text(path: Path, stream: _Readable, values: NDArray[np.float32]) -> None:
    """Fill `values` with numbers that are written out."""
    done, rest = 0, b""
    while done < values.size:
        block = stream.read(SLAB)
        words = (rest + block).split()
        rest = words.pop() if words and block and not block[-1:].isspace() else b""
        if len(rest) > LONGEST_NUMBER:
            raise ScanweaveError(path, "its voxels are not numbers in text", ADVICE)
        numbers = np.array(words[: values.size - done], dtype=np.float64)
        values[done : done + numbers.size] = numbers
        done += numbers.size
        if not block and done < values.size:
            raise ScanweaveError(path, f"truncated: holds {done} numbers of {values.size}", ADVICE)
