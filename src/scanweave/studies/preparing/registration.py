"""Rigid registration of two scans of one patient by mutual information, through SimpleITK.

Mattes' mutual information (Mattes et al., IEEE TMI 2003) on a pyramid of isotropic grids, gradient descent, samples
drawn from a fixed seed, one thread: equal scans give equal transforms. The headers are trusted first; a transform is
taken only where the metric over all voxels is better for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.geometry import FloatArray, Geometry, resample
from scanweave.studies.preparing.foreground import foreground
from scanweave.studies.preparing.transforms import LPS_TO_RAS, RigidTransform
from scanweave.studies.scan import Scan

PYRAMID = (4, 2, 1)
"""Voxels of the finest working grid that make one of each level's."""
LEAST_SAMPLES = 20_000
"""Voxels that the metric is estimated from in one step, at least, where there are that many."""
TAIL_PERCENT = 0.5
"""Share of the brightest and the darkest voxels that is clipped: outliers empty the histogram's other bins."""
MARGIN_MM = 10.0
"""Rim round the patient that counts: the contrast of skin and air holds much of what places a head."""
LEAST_OVERLAP = 0.25
"""Share of the fixed patient that a moved scan must cover, or the transform is not believed."""


class RegistrationSettings(BaseModel):
    """Settings of the search: how finely, how long and how far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing_mm: float = Field(1.5, ge=0.5, le=8.0, description="Edge of a voxel of the finest working grid [mm].")
    bins: int = Field(48, ge=8, le=256, description="Bins of the joint histogram, a side.")
    sampled_share: float = Field(0.2, gt=0, le=1, description="Share of the voxels that each step looks at.")
    iterations: int = Field(150, ge=1, le=2000, description="Steps on a level of the pyramid, at most.")
    farthest_mm: float = Field(
        100.0,
        gt=0,
        description="Mean motion from which a transform is not believed, where headers overlap [mm].",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="What the samples are drawn from.")


@dataclass(frozen=True)
class Registration:
    """The outcome for one scan.

    Attributes:
        transform: From the moving scan's place to the fixed one's; the identity if the header was better.
        before: Mutual information [nats] as the headers place the scans; larger is better.
        after: That of the transform found.
        kept: Whether the header was kept, since nothing better was found.
        moved_mm: Mean displacement over the fixed patient [mm].
        why: In words, which was taken and why.
    """

    transform: RigidTransform
    before: float
    after: float
    kept: bool
    moved_mm: float
    why: str


@dataclass(frozen=True, eq=False)
class Target:
    """A fixed scan made ready once for all that are registered to it.

    Attributes:
        name: Its name.
        image: SimpleITK image on the working grid.
        mask: Where the metric is measured, as SimpleITK image.
        inside: RAS positions of voxels in the patient, `(N, 3)` [mm].
    """

    name: str
    image: Any
    mask: Any
    inside: FloatArray


def still(scan: Scan) -> NDArray[np.float32]:
    """Return the volume `(X, Y, Z)` that stands for a scan: itself, or the mean of a series; NaN and Inf as lowest."""
    data = np.asarray(scan.data, dtype=np.float32)
    volume = data if data.ndim == 3 else data.mean(axis=3)
    finite = np.isfinite(volume)
    if finite.all() or not finite.any():
        return volume
    return np.where(finite, volume, volume[finite].min())


def make_target(name: str, scan: Scan, settings: RegistrationSettings | None = None) -> Target:
    """Make a fixed scan ready.

    Raises:
        ScanweaveError: SimpleITK is absent, or the scan shows nothing.
    """
    settings = settings or RegistrationSettings()
    volume, grid = working_volume(scan, settings.spacing_mm)
    patient = foreground(volume)
    if not patient.any():
        raise ScanweaveError(name, "is constant, so nothing can be registered to it", "Name another --reference")
    reach = max(1, round(MARGIN_MM / settings.spacing_mm))
    measured = ndimage.binary_dilation(patient, iterations=reach)
    inside = grid.positions(np.argwhere(patient)[:: max(1, int(patient.sum()) // 5000)])
    return Target(name, to_itk(clipped(volume), grid), to_itk(measured.astype(np.uint8), grid), inside)


def register(moving: str, scan: Scan, target: Target, settings: RegistrationSettings | None = None) -> Registration:
    """Find the rigid motion that brings `scan`, named `moving`, to the place of `target`.

    Two starts are tried, as the headers say and with the patients' centres on each other, and the better end is held
    against the headers.

    Raises:
        ScanweaveError: The two cannot be registered.
    """
    settings = settings or RegistrationSettings()
    volume, grid = working_volume(scan, settings.spacing_mm)
    patient = foreground(volume)
    if not patient.any():
        raise ScanweaveError(moving, "is constant, so it cannot be registered", "Look at it, or leave it out")
    image = to_itk(clipped(volume), grid)
    centre = target.inside.mean(axis=0)
    shift = grid.positions([np.argwhere(patient).mean(axis=0)])[0] - centre
    centred = np.eye(4)
    centred[:3, 3] = shift
    method = mutual_information(target, settings)
    before = metric_of(target, image, np.eye(4), settings)
    starts = sorted([np.eye(4), centred], key=lambda start: -metric_of(target, image, start, settings))
    best: FloatArray = np.eye(4)
    after = -np.inf
    for start in starts[: 1 if np.linalg.norm(shift) < settings.spacing_mm else 2]:
        found = descend(method, target, image, linear_transform("Euler3DTransform", start, centre))
        value = metric_of(target, image, found, settings)
        if value > after:
            best, after = found, value
    return _judged(moving, target, best, before, after, settings)


def _judged(
    moving: str, target: Target, look_up: FloatArray, before: float, after: float, settings: RegistrationSettings
) -> Registration:
    """Take the transform or the header; `look_up` maps fixed points to moving points, RAS mm."""
    transform = RigidTransform(look_up, target.name, moving).inverse
    moved = float(transform.inverse.displacement_mm(target.inside).mean())
    if np.isfinite(before) and moved > settings.farthest_mm:
        why = f"header kept: the transform found moves the patient by {moved:.0f} mm, which is not believed"
    elif after <= before:
        why = "header kept: no motion found is better"
    else:
        words = f"moved by {moved:.2f} mm and {transform.angle_degrees:.2f}°"
        return Registration(transform, before, after, False, moved, words)
    return Registration(RigidTransform.identity(moving, target.name), before, after, True, 0.0, why)


def working_volume(scan: Scan, spacing_mm: float) -> tuple[NDArray[np.float32], Geometry]:
    """Return a scan on an isotropic grid with axes at right angles, which its header need not have."""
    volume = still(scan)
    grid = scan.geometry.straightened().with_spacing(np.full(3, spacing_mm))
    fill = float(volume.min())
    return resample(volume, scan.geometry, grid, outside=fill).astype(np.float32), grid


def to_itk(volume: NDArray[Any], grid: Geometry) -> Any:
    """Return a volume `(X, Y, Z)` on an orthogonal grid as a SimpleITK image."""
    itk = require("SimpleITK", "itk")
    image = itk.GetImageFromArray(np.ascontiguousarray(volume.T))
    affine = LPS_TO_RAS @ grid.affine
    left, _, right = np.linalg.svd(affine[:3, :3] / np.array(grid.spacing))  # float32 headers: exactly orthogonal
    image.SetSpacing(grid.spacing)
    image.SetDirection((left @ right).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def clipped(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a volume without its darkest and brightest tails, which would empty the bins between."""
    low, high = np.percentile(volume, (TAIL_PERCENT, 100 - TAIL_PERCENT))
    return np.clip(volume, low, high if high > low else volume.max()).astype(np.float32)


def mutual_information(target: Target, settings: RegistrationSettings, pyramid: tuple[int, ...] = PYRAMID) -> Any:
    """Return a SimpleITK registration to `target` by Mattes' metric, without a transform yet."""
    itk = require("SimpleITK", "itk")
    method = itk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in another order would give another transform
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(settings.bins)
    method.SetMetricFixedMask(target.mask)
    voxels = int(np.prod(target.image.GetSize()))
    shares = [min(1.0, max(settings.sampled_share, LEAST_SAMPLES * factor**3 / voxels)) for factor in pyramid]
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(shares, settings.seed + 1)  # 0 would mean the time of day
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=1e-3,
        numberOfIterations=settings.iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(pyramid)
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0.0 for factor in pyramid])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def metric_of(target: Target, image: Any, look_up: FloatArray, settings: RegistrationSettings) -> float:
    """Return the mutual information [nats] over all voxels of the target's mask; −inf where too few are covered.

    Args:
        target: The fixed scan.
        image: The moving one, as SimpleITK image.
        look_up: `(4, 4)`, target → image, RAS mm.
        settings: The bins.
    """
    itk = require("SimpleITK", "itk")
    places = apply_affine(np.linalg.inv(_affine(image)) @ look_up, target.inside)
    covered = ((places >= 0) & (places <= np.array(image.GetSize()) - 1)).all(axis=1).mean()
    if covered < LEAST_OVERLAP:
        return -float("inf")
    method = itk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(settings.bins)
    method.SetMetricFixedMask(target.mask)
    method.SetInterpolator(itk.sitkLinear)
    method.SetInitialTransform(linear_transform("AffineTransform", look_up, np.zeros(3)))
    return -float(method.MetricEvaluate(target.image, image))


def descend(method: Any, target: Target, image: Any, motion: Any) -> FloatArray:
    """Follow the metric from `motion` to its end and return it: target → image, RAS mm, `(4, 4)`.

    Raises:
        ScanweaveError: ITK gives up.
    """
    method.SetInitialTransform(motion, inPlace=True)
    try:
        method.Execute(target.image, image)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ScanweaveError(target.name, f"the registration to it failed ({reason})", "Look at both scans") from error
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(motion.GetMatrix(), (3, 3))
    matrix[:3, 3] = np.array(motion.TransformPoint((0.0, 0.0, 0.0)))
    return np.asarray(LPS_TO_RAS @ matrix @ LPS_TO_RAS)


def linear_transform(kind: str, look_up: FloatArray, centre: FloatArray) -> Any:
    """Return ITK's transform of that kind for a matrix, RAS mm, that turns about `centre` [RAS mm]."""
    itk = require("SimpleITK", "itk")
    matrix, middle = LPS_TO_RAS @ look_up @ LPS_TO_RAS, LPS_TO_RAS[:3, :3] @ centre
    motion = itk.AffineTransform(3) if kind == "AffineTransform" else getattr(itk, kind)()
    motion.SetCenter(middle.tolist())
    motion.SetMatrix(matrix[:3, :3].ravel().tolist())
    motion.SetTranslation((matrix[:3, 3] - middle + matrix[:3, :3] @ middle).tolist())
    return motion


def _affine(image: Any) -> FloatArray:
    """Return the map from voxel index to RAS mm of a SimpleITK image."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(LPS_TO_RAS @ affine)
