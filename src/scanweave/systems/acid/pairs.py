"""Measurements and the images that they should become, from a cohort or from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.physics.ct.operators import CtPhysics
from scanweave.physics.spectral.logarithm import line_integrals
from scanweave.studies.cohort import Cohort
from scanweave.studies.slices import slice_images
from scanweave.studies.study import Study
from scanweave.systems.acid.plan import SINOGRAM


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
        """The first `count` of them."""
        return Pairs(self.truth[:count], self.measurement[:count], self.names[:count], self.patients[:count])

    def to(self, device: torch.device) -> Pairs:
        """The same on a device."""
        return Pairs(self.truth.to(device), self.measurement.to(device), self.names, self.patients)


def bins_of(cohort: Cohort) -> list[str]:
    """Names of the true images that belong to the bins of the sinograms, such as `bin1`.

    Raises:
        ScanweaveError: The cohort has no sinograms, or no such images.
    """
    if f"sinogram:{SINOGRAM}" not in cohort.frame:
        step = "Make some with: scanweave simulate ct, or hand pairs to Acid.fit_pairs in Python"
        raise ScanweaveError(cohort.folder, f"has no sinograms named '{SINOGRAM}'", step)
    bins = sorted((name for name in cohort.sequences if name.startswith("bin")), key=lambda name: (len(name), name))
    if not bins:
        raise ScanweaveError(cohort.folder, "has no true images of its bins (bin1, bin2 …)", "Add them as scans")
    return bins


def load_pairs(cohort: Cohort, bins: Sequence[str]) -> tuple[LinearPhysics, Pairs]:
    """Read the sinograms of a cohort and their true images.

    Raises:
        ScanweaveError: There is no study, an image is absent, or the scans differ in geometry.
    """
    measured, truths, names, patients = [], [], [], []
    physics: CtPhysics | None = None
    for study in cohort:
        scanner, values = read_measurement(study)
        if physics is None:
            physics = scanner
        elif scanner.geometry != physics.geometry:
            raise ScanweaveError(study.id, "was measured with another geometry", "Fit one run a geometry")
        measured.append(values)
        truths.append(torch.from_numpy(np.ascontiguousarray(slice_images([study[name] for name in bins], study.id))))
        names.append(study.id)
        patients.append(study.patient)
    if physics is None:
        raise ScanweaveError(cohort.folder, "holds no study", "Choose another part, or split the cohort again")
    shapes = {tuple(image.shape) for image in truths} | {(len(bins), *physics.geometry.shape)}
    if len(shapes) > 1 or {len(values) for values in measured} != {len(bins)}:
        raise ScanweaveError(cohort.folder, f"its images, {sorted(shapes)}, do not fit its scans", "Check the cohort")
    return physics, Pairs(torch.stack(truths), torch.stack(measured), tuple(names), tuple(patients))


def read_measurement(study: Study) -> tuple[CtPhysics, Tensor]:
    """Return the scanner of a study and its line integrals `(S, V, D)`.

    Raises:
        ScanweaveError: The sinogram is absent or damaged, or its geometry is not one of `physics.ct`.
    """
    sinogram = study.sinogram(SINOGRAM)
    try:
        physics = CtPhysics(geometry_from_dict(sinogram.geometry))
    except ScanweaveError as error:
        raise ScanweaveError(study.id, f"{error.where}: {error.reason}", error.next_step) from error
    if sinogram.kind == "line_integrals":
        return physics, torch.from_numpy(np.ascontiguousarray(sinogram.values, np.float32))
    if sinogram.air is None:
        raise ScanweaveError(study.id, "holds counts without air counts", "Add a scan of air")
    return physics, torch.from_numpy(line_integrals(sinogram.values, sinogram.air, dead="interpolate").values)
