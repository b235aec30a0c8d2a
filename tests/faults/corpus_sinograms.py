"""Malformed measurements of CT: HDF5 files that are damaged, contradict themselves, or belong to another scan."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fault import Fault

from scanweave.studies.checks.cohort_check import check_study
from scanweave.studies.formats.sinogram_hdf5 import SinogramFiles, read_sinogram
from scanweave.studies.slice_scans import slice_scan
from scanweave.studies.study import Study

THERE = all(importlib.util.find_spec(name) for name in ("h5py", "numba", "deepinv"))
"""Whether the group `ct` is installed."""
if THERE:
    import h5py

    from scanweave.systems.ultra import images as ultra  # loaded here, since its size is not the faults'
BINS, VIEWS, DETECTORS = 2, 12, 24
GEOMETRY: dict[str, Any] = {
    "kind": "fan-flat",
    "shape": [16, 16],
    "pixel": 2.0,
    "angles": np.arange(0.0, 360, 30).tolist(),
    "detectors": DETECTORS,
    "pitch": 3.0,
    "offset": 0.0,
    "source": 100.0,
    "detector": 50.0,
}
Change = Callable[[Any], None]


def parts() -> dict[str, Any]:
    """A sound measurement of a disc, as the datasets of its file."""
    places = (np.arange(DETECTORS) - (DETECTORS - 1) / 2) * 3.0 * 100 / 150
    chords = 2 * np.sqrt(np.maximum(10.0**2 - places**2, 0))
    passed = np.exp(-0.02 * chords)[None, None] * np.full((BINS, VIEWS, 1), 5e3)
    return {
        "values": np.random.default_rng(0).poisson(passed).astype(np.float64),
        "air": np.full(BINS, 5e3),
        "thresholds_kev": np.array([20.0, 50.0]),
        "spectrum/energies_kev": np.arange(20.5, 100),
        "spectrum/photons": np.ones(80),
        **{f"geometry/{name}": value for name, value in GEOMETRY.items()},
    }


def write(folder: Path, changed: Mapping[str, Any], edit: Change | None = None, attributes: Any = None) -> None:
    """Write `ct.h5` with entries changed, or left out where they are None."""
    with h5py.File(folder / "ct.h5", "w") as file:
        file.attrs.update({"format": "scanweave-sinogram", "version": 1, "kind": "counts", **(attributes or {})})
        group = file.create_group("geometry")
        for name, value in {**parts(), **changed}.items():
            if value is None:
                continue
            if name.startswith("geometry/") and not isinstance(value, list | np.ndarray):
                group.attrs[name.removeprefix("geometry/")] = value
            else:
                file[name] = value
        if edit is not None:
            edit(file)


def damaged(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Write a sound file and change its bytes."""
    write(folder, {})
    path = folder / "ct.h5"
    path.write_bytes(change(path.read_bytes()))


def read(folder: Path) -> str:
    """Read it as a cohort does."""
    read_sinogram(folder / "ct.h5")
    return "ok"


def reconstruct(folder: Path, truth: np.ndarray | None = None, pixel: float = 2.0) -> str:
    """Reconstruct it as a fit does, beside true images where they are given."""
    images = {} if truth is None else {f"bin{n + 1}": slice_scan(one, pixel) for n, one in enumerate(truth)}
    study = Study("s", "s", images, sinograms=SinogramFiles({"ct": folder / "ct.h5"}))
    ultra.reconstructed(study, "ct", ("bin1", "bin2"), "ram-lak")
    return "ok"


def check(folder: Path) -> str:
    """Check it as `scanweave cohort check` does."""
    verdict = check_study({"study": "s", "patient": "s", "sinogram:ct": "ct.h5"}, folder)
    return "repair" if verdict.status in ("suspect", "repaired") else verdict.status


def faults() -> Iterator[Fault]:
    """All of them; none without the group `ct`."""
    if not THERE:
        return
    yield from _files()
    yield from _contents()
    yield from _geometries()
    yield from _truths()
    for name, values in _doubtful().items():
        yield Fault("sinogram-counts", name, partial(write, changed={"values": values}), check, "repair")


def _files() -> Iterator[Fault]:
    changes: dict[str, Callable[[bytes], bytes]] = {
        "truncated": lambda data: data[: len(data) // 2],
        "empty": lambda data: b"",
        "text": lambda data: b"angle,count\n0,1\n",
        "noise": lambda data: bytes(np.random.default_rng(1).integers(0, 256, 4000, np.uint8)),
    }
    for name, change in changes.items():
        yield Fault("sinogram-file", name, partial(damaged, change=change), read)
    yield Fault("sinogram-file", "absent", lambda folder: None, read)
    told: dict[str, dict[str, Any]] = {
        "other-format": {"format": "nexus"},
        "newer": {"version": 2},
        "kind": {"kind": "photographs"},
    }
    for name, attributes in told.items():
        yield Fault("sinogram-layout", name, partial(write, changed={}, attributes=attributes), read)


def _contents() -> Iterator[Fault]:
    values = parts()["values"]
    scattered = np.random.default_rng(2).random(values.shape) < 0.01
    changed: dict[str, dict[str, Any]] = {
        "nan": {"values": np.where(scattered, np.nan, values)},
        "infinite": {"values": np.where(scattered, np.inf, values)},
        "no-photon": {"values": 0 * values},
        "dark-view": {"values": values * (np.arange(VIEWS) != 5)[None, :, None]},
        "missing-views": {"values": values[:, ::2]},
        "other-detector": {"values": values[..., 1:]},
        "one-bin": {"values": values[:1]},
        "flat": {"values": values[0]},
        "text": {"values": np.array([b"a", b"b"])},
        "no-air": {"air": None},
        "zero-air": {"air": np.zeros(BINS)},
        "air-of-another-scan": {"air": np.full(BINS, 5.0)},
        "air-shape": {"air": np.ones((BINS, VIEWS))},
        "thresholds-fewer": {"thresholds_kev": np.array([20.0])},
        "thresholds-descend": {"thresholds_kev": np.array([50.0, 20.0])},
        "no-thresholds": {"thresholds_kev": None},
        "spectrum-half": {"spectrum/photons": None},
        "spectrum-negative": {"spectrum/photons": -np.ones(80)},
    }
    for name, change in changed.items():
        yield Fault("sinogram-contents", name, partial(write, changed=change), read)
    lines = {"attributes": {"kind": "line_integrals"}}
    yield Fault("sinogram-contents", "counts-as-lines", partial(write, changed={}, **lines), read)
    taken = {"values": -np.log(np.maximum(values, 1) / 5e3) + 0.1}
    yield Fault("sinogram-contents", "lines-as-counts", partial(write, changed=taken), read)
    dark = values * (np.arange(BINS) != 1)[:, None, None]
    yield Fault("sinogram-contents", "dark-bin", partial(write, changed={"values": dark}), reconstruct)
    in_ev = {"spectrum-in-ev": {"spectrum/energies_kev": 1000 * np.arange(20.5, 100)}}
    for name, change in (in_ev | {"thresholds-in-ev": {"thresholds_kev": np.array([2e4, 5e4])}}).items():
        yield Fault("sinogram-units", name, partial(write, changed=change), read)


def _geometries() -> Iterator[Fault]:
    changed: dict[str, dict[str, Any]] = {
        "unknown": {"kind": "spiral"},
        "number-for-kind": {"kind": 3.0},
        "no-source": {"source": None},
        "tilt": {"tilt": 3.0},
        "source-inside": {"source": 5.0},
        "no-pixel": {"pixel": 0.0},
        "nan-angles": {"angles": np.full(VIEWS, np.nan)},
        "half-pixel-grid": {"shape": np.array([15.5, 16.0])},
        "huge-grid": {"shape": [40_000, 40_000]},
        "negative-grid": {"shape": [-4, 16]},
        "negative-pitch": {"pitch": -1.0},
        "radians": {"angles": np.deg2rad(GEOMETRY["angles"]).tolist()},
        "axis-off-the-detector": {"offset": 60.0},
        "third-of-a-turn": {"angles": np.arange(0.0, 120, 10).tolist()},
        "no-angles": {"angles": None},
    }
    for name, change in changed.items():
        make = partial(write, changed={f"geometry/{field}": value for field, value in change.items()})
        yield Fault("sinogram-geometry", name, make, reconstruct)


def _truths() -> Iterator[Fault]:
    y, x = np.mgrid[:16, :16] - 7.5
    disc = 0.02 * np.stack([np.hypot(x, y) < 5] * BINS)
    sound = partial(write, changed={})
    yield Fault("true-images", "sound", sound, partial(reconstruct, truth=disc), "ok")
    wrong: dict[str, dict[str, Any]] = {
        "per-cm": {"truth": 10 * disc},
        "hounsfield": {"truth": 5e4 * disc - 1000},
        "empty": {"truth": 0 * disc},
        "cm-grid": {"truth": disc, "pixel": 0.2},
        "other-grid": {"truth": disc[:, 1:]},
    }
    for name, options in wrong.items():
        yield Fault("true-images", name, sound, partial(reconstruct, **options))
    in_cm = {f"geometry/{name}": GEOMETRY[name] / 10 for name in ("pixel", "pitch", "source", "detector")}
    yield Fault("sinogram-units", "centimetres", partial(write, changed=in_cm), partial(reconstruct, truth=disc))


def _doubtful() -> dict[str, np.ndarray]:
    values = parts()["values"]
    return {
        "saturated": np.minimum(values, 4000.0),
        "some-dark": values * (np.arange(DETECTORS) % 5 > 0),
    }
