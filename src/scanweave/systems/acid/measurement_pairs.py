"""Measurements and the images that they should become, from a cohort or from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.spectral.corrected import corrected_lines
from scanweave.studies.cohort import Cohort
from scanweave.studies.measured_slices import check_truth, refuse_faults, same_thresholds, thresholds_of
from scanweave.studies.slice_scans import slice_images
from scanweave.studies.study import Study
from scanweave.systems.acid.plan import SINOGRAM

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Measured images of one scanner.

    Attributes:
        truth: The images `(N, C, H, W)`.
        measurement: What was measured of each, noise included, `(N, C, …)`.
        names: Name of each case.
        patients: Whom each belongs to.
    """

    truth: Tensor
    measurement: Tensor
    names: tuple[str, ...]
    patients: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = {len(self.truth), len(self.measurement), len(self.names), len(self.patients)}
        if counts == {0} or len(counts) > 1 or self.truth.ndim != 4:
            reason = f"{len(self.truth)} images, {len(self.measurement)} measurements, {len(self.names)} names"
            raise ScanweaveError("pairs", reason, "Give images (N, C, H, W), and a measurement, name and patient each")
        for name, values in (("images", self.truth), ("measurements", self.measurement)):
            if not torch.isfinite(values).all():
                raise ScanweaveError(name, "hold NaN or infinite values", "Repair or leave out those cases")

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> Pairs:
        """Return the first `count` of them."""
        return Pairs(self.truth[:count], self.measurement[:count], self.names[:count], self.patients[:count])

    def to(self, device: torch.device) -> Pairs:
        """Return the same on a device."""
        return Pairs(self.truth.to(device), self.measurement.to(device), self.names, self.patients)


def load_pairs(
    cohort: Cohort,
    bins: Sequence[str],
    *,
    physics: CtPhysics | None = None,
    thresholds: Sequence[float] | None = None,
    left_out: dict[str, str] | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[CtPhysics, Pairs]:
    """Read the sinograms of a cohort and their true images.

    Args:
        cohort: Studies of one scanner.
        bins: Names of the true images.
        physics: The scanner; None: that of the first study.
        thresholds: Lower threshold of each bin [keV]; None: those of the first study.
        left_out: Takes the reason for each study that does not fit; without it, such studies are an error.
        progress: Called with the number of studies read and of all.

    Raises:
        ScanweaveError: There is no study, an image is absent, or the scans differ in geometry or thresholds.
    """
    read: list[tuple[Study, Tensor, Tensor]] = []
    faults: dict[str, ScanweaveError] = {}
    for number, name in enumerate(cohort.studies, start=1):
        try:
            study = cohort[name]
            scanner, told, measured, truth = _read_pair(study, bins)
            if physics is not None and scanner.geometry != physics.geometry:
                raise ScanweaveError(name, "was measured with another geometry", "Fit one run a geometry")
            if thresholds is not None:
                same_thresholds(told, thresholds, name)
        except ScanweaveError as error:
            faults[name] = error
        else:
            physics, thresholds = physics or scanner, told if thresholds is None else thresholds
            read.append((study, measured, truth))
        progress(number, len(cohort))
    if left_out is None:
        refuse_faults(cohort, faults)
    else:
        left_out |= {name: error.reason for name, error in faults.items()}
    if physics is None or not read:
        raise ScanweaveError(cohort.folder, "holds no study that fits", "Choose another part, or check the cohort")
    studies, measurements, truths = zip(*read, strict=True)
    names, patients = ([getattr(study, field) for study in studies] for field in ("id", "patient"))
    return physics, Pairs(torch.stack(truths), torch.stack(measurements), tuple(names), tuple(patients))


def _read_pair(study: Study, bins: Sequence[str]) -> tuple[CtPhysics, tuple[float, ...], Tensor, Tensor]:
    physics, thresholds, measured = read_measurement(study)
    scans = [study[name] for name in bins]
    truth = torch.from_numpy(np.ascontiguousarray(slice_images(scans, study.id)))
    expected = (len(measured), *physics.geometry.shape)
    if tuple(truth.shape) != expected:
        reason = f"its true images are {tuple(truth.shape)}, its scan gives {expected}"
        raise ScanweaveError(study.id, reason, "Put both on one grid, and give the true image of every bin")
    check_truth(study.id, scans, truth.numpy(), physics.A_dagger(measured[None])[0].numpy(), physics.geometry.pixel)
    return physics, thresholds, measured, truth


def read_measurement(study: Study) -> tuple[CtPhysics, tuple[float, ...], Tensor]:
    """Return the scanner of a study, its thresholds [keV] and its line integrals `(S, V, D)`.

    They are corrected for the beam hardening of water where the spectrum is known: the scanner A is linear.

    Raises:
        ScanweaveError: The sinogram is absent or damaged, or its geometry is not one of `physics.ct`.
    """
    sinogram = study.sinogram(SINOGRAM)
    try:
        physics = CtPhysics(geometry_from_dict(sinogram.geometry))
        lines = corrected_lines(sinogram, dead="interpolate")
    except ScanweaveError as error:
        raise ScanweaveError(study.id, f"{error.where}: {error.reason}", error.next_step) from error
    return physics, thresholds_of(sinogram), torch.from_numpy(np.ascontiguousarray(lines))
