"""Packed files whose bytes chance damaged: Parquet, and workbooks whose XML was changed and packed again.

All are made at run time from seeds and from sound files. `SCANWEAVE_FAULTS=20` makes twenty times as many.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import corpus_manifests as manifests
import corpus_values as values
import numpy as np
import pandas as pd
from fault import Fault

TIMES = int(os.environ.get("SCANWEAVE_FAULTS", "1"))
WORDS = (
    *("", "-1", "0", "1", "2", "1e400", "nan", "99999999999999999999", "16385", "1048577", "A0", "XFE1", "ZZZZ1"),
    *("x" * 2000, "&#0;", "../x", "10000-01-01", "s", "d", "e", "b", "inlineStr", "true", "é"),
)
"""Values for any attribute or text of a workbook."""


@cache
def sound(kind: str) -> bytes:
    """The bytes of a sound file of a kind."""
    frame = pd.DataFrame({"id": [f"P{n:02}" for n in range(12)], "age": range(40, 52), "sex": ["f", "m"] * 6})
    frame["visit"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(frame["age"], unit="D")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{kind}"
        if kind == ".xlsx":
            frame.to_excel(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path.read_bytes()


def damaged(content: bytes, chance: np.random.Generator) -> bytes:
    """Return bytes with one to four places overwritten, and at times without their end."""
    data = bytearray(content)
    for _ in range(chance.integers(1, 5)):
        at = int(chance.integers(len(data)))
        kind, length = chance.integers(4), int(chance.choice([1, 2, 4, 8]))
        if kind == 0:
            data[at] ^= 1 << chance.integers(8)
        else:
            data[at : at + length] = (b"\xff" * length, bytes(length), chance.bytes(length))[kind - 1]
    return bytes(data[: chance.integers(len(data))] if chance.random() < 0.1 else data)


def binary(folder: Path, name: str, content: Callable[[], bytes], stream: int, seed: int) -> None:
    """Write a file with damaged bytes."""
    (folder / name).write_bytes(damaged(content(), np.random.default_rng([stream, seed])))


def manifest(folder: Path, seed: int) -> None:
    """A sound cohort whose manifest has damaged bytes."""
    manifests.cohort(folder)
    path = folder / "manifest.parquet"
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng([32, seed])))


def workbook(folder: Path, seed: int) -> None:
    """A workbook in one of whose parts one to three values or tags were changed, or its bytes damaged."""
    chance = np.random.default_rng([33, seed])
    with zipfile.ZipFile(io.BytesIO(sound(".xlsx"))) as good:
        parts = {name: good.read(name) for name in good.namelist()}
    name = list(parts)[chance.integers(len(parts))] if chance.random() < 0.6 else "xl/worksheets/sheet1.xml"
    text = parts[name].decode("utf-8")
    for _ in range(chance.integers(1, 4)):
        text = changed_xml(text, chance)
    parts[name] = text.encode("utf-8")
    if chance.random() < 0.1:
        del parts[list(parts)[chance.integers(len(parts))]]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as whole:
        for part, content in parts.items():
            whole.writestr(part, content)
    content = stream.getvalue()
    (folder / "table.xlsx").write_bytes(damaged(content, chance) if chance.random() < 0.1 else content)


def changed_xml(text: str, chance: np.random.Generator) -> str:
    """Return XML in which a value or text holds something else, or a tag is absent or there twice."""
    pattern = (r'"[^"<>]*"', r">[^<>]+<", r"<[^<>?]+>")[chance.integers(3)]
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    one, word = found[chance.integers(len(found))], WORDS[chance.integers(len(WORDS))]
    whole = one.group()
    other = whole[0] + word + whole[-1] if pattern[0] != "<" else 2 * whole if chance.random() < 0.5 else ""
    return text[: one.start()] + other + text[one.end() :]


def faults() -> Iterator[Fault]:
    """All of them, each by its seed."""
    for seed in range(60 * TIMES):
        make = partial(binary, name="table.parquet", content=partial(sound, ".parquet"), stream=31, seed=seed)
        yield Fault("damaged .parquet", f"seed {seed}", make, values.take_in, "any")
        yield Fault("damaged manifest", f"seed {seed}", partial(manifest, seed=seed), manifests.use, "any")
        yield Fault("damaged .xlsx", f"seed {seed}", partial(workbook, seed=seed), values.take_in, "any")
