"""From sinogram to the images that the network sees, and the cache of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.engine.image_states import image_states
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_write
from scanweave.physics.ct.fbp import FilteredBackprojection, Window
from scanweave.physics.ct.geometry import CtGeometry, geometry_from_dict
from scanweave.physics.spectral.corrected import beam_of, corrected_lines
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import check_truth, refuse_faults, thresholds_of
from scanweave.studies.slice_scans import slice_images
from scanweave.studies.study import Study
from scanweave.systems.ultra.plan import Beam

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]
FORMAT = 2
"""Part of every name in the training cache: raise it when a slice is reconstructed in another way."""


@dataclass(frozen=True, eq=False)
class SpectralImages:
    """One slice as the network sees it; arrays may be memory-mapped.

    Attributes:
        id: Name of the study.
        patient: Whom it belongs to.
        fbp: Filtered backprojection of each bin [1/mm], `(S, H, W)`.
        truth: Clean image of each bin [1/mm], `(S, H, W)`; absent where none is known.
        lines: Corrected line integrals, `(S, views, detectors)`.
        geometry: The scan.
        thresholds: Lower threshold of each bin [keV].
        beam: Energies of the spectrum [keV] and what each adds to each bin; absent where the sinogram does not tell.
    """

    id: str
    patient: str
    fbp: Array
    truth: Array | None
    lines: Array
    geometry: CtGeometry
    thresholds: tuple[float, ...]
    beam: Beam | None = None


def reconstructed(study: Study, sinogram: str, bins: Sequence[str], window: Window) -> SpectralImages:
    """Return line integrals of a study corrected for water, their filtered backprojection, and the truth if it has one.

    Raises:
        ScanweaveError: The sinogram is absent, contradicts itself, holds no photon in a bin or view, or does not fit
            the true images.
    """
    where = f"{study.id}: {sinogram}"
    measured = study.sinogram(sinogram)
    try:
        geometry = geometry_from_dict(measured.geometry)
        lines = corrected_lines(measured)
        fbp = _backprojection(geometry, window)(torch.from_numpy(lines)).numpy()
    except ScanweaveError as error:
        raise ScanweaveError(where, f"{error.where}: {error.reason}", error.next_step) from error
    truth = true_images(study, bins)
    if truth is not None and truth.shape != fbp.shape:
        raise ScanweaveError(
            where, f"reconstructs to {_size(fbp)}, but its true images are {_size(truth)}", "Put both on one grid"
        )
    if truth is not None:
        check_truth(where, (study.scans[name] for name in bins), truth, fbp, geometry.pixel)
    return SpectralImages(
        study.id, study.patient, fbp, truth, lines, geometry, thresholds_of(measured), beam_of(measured)
    )


def true_images(study: Study, bins: Sequence[str]) -> Array | None:
    """Return the clean images of a study `(S, H, W)` [1/mm], or None if one of them is absent."""
    if any(name not in study.scans for name in bins):
        return None
    return np.asarray(slice_images([study.scans[name] for name in bins], study.id), np.float32)


@lru_cache(maxsize=4)
def _backprojection(geometry: CtGeometry, window: Window) -> FilteredBackprojection:
    return FilteredBackprojection(geometry, window)


def prepared(
    cohort: Cohort, sinogram: str, bins: Sequence[str], window: Window, progress: Progress
) -> list[SpectralImages]:
    """Return the images of all studies of a cohort, from its training cache where they are there.

    Args:
        cohort: Studies with a sinogram and true images.
        sinogram: Name of the sinogram.
        bins: Names of the true images.
        window: Of the filtered backprojection.
        progress: Called with the number of studies done and of all, after each.

    Raises:
        ScanweaveError: A study cannot be reconstructed; all that cannot are told together.
    """
    by_patient = image_states(cohort, [*(f"scan:{name}" for name in bins), f"sinogram:{sinogram}"])
    states = {study: images for studies in by_patient.values() for study, images in studies.items()}
    made: list[SpectralImages] = []
    faults: dict[str, ScanweaveError] = {}
    for number, name in enumerate(cohort.studies, start=1):
        state = json.dumps([FORMAT, sinogram, list(bins), window, states[name]])
        key = hashlib.sha256(state.encode()).hexdigest()[:12]
        stem = cohort.folder / "prepared" / f"ultra-{window}" / f"{name}-{key}"
        make = partial(reconstructed, sinogram=sinogram, bins=bins, window=window)
        try:
            made.append(_cached(cohort, name, stem, make))
        except ScanweaveError as error:
            faults[name] = error
        progress(number, len(cohort))
    refuse_faults(cohort, faults)
    return made


def _cached(cohort: Cohort, name: str, stem: Path, make: Callable[[Study], SpectralImages]) -> SpectralImages:
    """Return the images at `stem`, made if they are not there; the file that is written last says that all are."""
    about = stem.with_name(f"{stem.name}.json")
    if not about.is_file():
        images = make(cohort[name])
        if images.truth is None:
            raise ScanweaveError(name, "has no true images to learn from", "Leave it out, or add them")
        for part, values in (("fbp", images.fbp), ("truth", images.truth), ("lines", images.lines)):
            with atomic_write(_file(stem, part)) as temporary, temporary.open("wb") as file:
                np.save(file, np.asarray(values, np.float32))
        facts: dict[str, Any] = {
            "patient": images.patient,
            "geometry": images.geometry.to_dict(),
            "thresholds": images.thresholds,
        }
        facts["beam"] = None if images.beam is None else [part.tolist() for part in images.beam]
        with atomic_write(about) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")
    return _opened(name, stem, about)


def _opened(name: str, stem: Path, about: Path) -> SpectralImages:
    try:
        facts: Mapping[str, Any] = json.loads(about.read_text(encoding="utf-8"))
        fbp, truth, lines = (
            np.load(_file(stem, part), mmap_mode="r", allow_pickle=False) for part in ("fbp", "truth", "lines")
        )
        thresholds = tuple(float(value) for value in facts["thresholds"])
        geometry = geometry_from_dict(facts["geometry"])
        told = facts["beam"]
        beam = None if told is None else (np.asarray(told[0], np.float64), np.asarray(told[1], np.float64))
        return SpectralImages(name, str(facts["patient"]), fbp, truth, lines, geometry, thresholds, beam)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ScanweaveError(about, f"the training cache is damaged ({error})", f"Remove {about.parent}") from error


def _file(stem: Path, part: str) -> Path:
    return stem.with_name(f"{stem.name}-{part}.npy")


def _size(images: NDArray[Any]) -> str:
    return " × ".join(map(str, images.shape))
