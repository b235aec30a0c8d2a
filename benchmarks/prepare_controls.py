"""Simple controls of `prepare.py`: a plain SimpleITK registration, a bias field by smoothing; and a field to plant."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as itk  # noqa: N813 - as the project calls it
from nilearn import datasets
from scipy import ndimage

from scanweave.studies.geometry import FloatArray, Geometry, resample
from scanweave.studies.preparing.registration import RegistrationSettings, Target, still, to_itk, working_volume
from scanweave.studies.preparing.transforms import LPS_TO_RAS
from scanweave.studies.scan import Scan

Rows = list[dict[str, Any]]
BINS, LONGEST_STEP, SHORTEST_STEP, STEPS, SAMPLED_SHARE = 50, 1.0, 1e-3, 200, 0.2
"""As in SimpleITK's own examples (notebook 60 and ImageRegistrationMethod4), but for the share of the voxels: their 1
and 10 % are too few on coarse grids, so the control has as many as the code under test."""
FIELD_SPREAD = 0.5
"""How much brighter the 95th percentile of a planted field is than the 5th, about that of a head coil at 3 T."""
WAVES = 2
"""Half waves of a planted field across the head, at most."""
SMOOTHING_MM = 40.0
"""Width of the Gaussian of the field by smoothing [mm], standard deviation."""
WORKING_MM = 3.0
"""Grid on which the control places a brain [mm]."""


def plain_registration(fixed: Target, scan: Scan, settings: RegistrationSettings) -> FloatArray:
    """Return the map from fixed points to points of `scan`, RAS mm, by SimpleITK's example on the same working grid.

    It starts where the headers are, not at the images' centres, which for scans of one session is nearer.
    """
    volume, grid = working_volume(scan, settings.spacing_mm)
    start = itk.Euler3DTransform()
    start.SetCenter((LPS_TO_RAS[:3, :3] @ fixed.inside.mean(axis=0)).tolist())
    return _example(fixed.image, to_itk(volume, grid), start, settings.seed)


def _example(fixed: Any, moving: Any, start: Any, seed: int) -> FloatArray:
    """Mutual information on a pyramid of 4, 2, 1 by regular steps, without masks or clipping."""
    method = itk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SAMPLED_SHARE, seed + 1)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(LONGEST_STEP, SHORTEST_STEP, STEPS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=False)
    try:
        found = method.Execute(itk.Cast(fixed, itk.sitkFloat32), itk.Cast(moving, itk.sitkFloat32))
    except RuntimeError as error:
        print(f"plain SimpleITK gave up, so its start counts: {str(error).splitlines()[-1].strip()}")
        found = start
    ends = [np.array(found.TransformPoint(point)) for point in np.vstack([np.zeros(3), np.eye(3)]).tolist()]
    matrix = np.eye(4)
    matrix[:3, 3] = ends[0]
    matrix[:3, :3] = np.transpose([end - ends[0] for end in ends[1:]])
    return np.asarray(LPS_TO_RAS @ matrix @ LPS_TO_RAS)


def brain_by_plain_registration(head: Scan, seed: int) -> np.ndarray:
    """Return the MNI152 brain, brought to a head by the same plain registration with one scale more."""
    template, brain = datasets.load_mni152_template(resolution=2), datasets.load_mni152_brain_mask(resolution=2)
    grid = Geometry.of(template.shape, template.affine)
    volume, working = working_volume(head, WORKING_MM)
    image, moving = to_itk(np.asarray(template.dataobj, np.float32), grid), to_itk(volume, working)
    centres = itk.CenteredTransformInitializerFilter.GEOMETRY
    place = _example(
        image, moving, itk.CenteredTransformInitializer(image, moving, itk.Similarity3DTransform(), centres), seed
    )
    placed = Geometry.of(brain.shape, place @ brain.affine)
    return np.asarray(resample(np.asarray(brain.dataobj, np.float32), placed, head.geometry) > 0.5)


def planted_field(geometry: Geometry, brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth field `(X, Y, Z)` with mean 1 in the brain: no splines, of which N4's are made, but cosines."""
    places = [np.linspace(0, np.pi, size, dtype=np.float32) for size in geometry.shape]
    logarithm = np.zeros(geometry.shape, np.float32)
    for waves in np.ndindex((WAVES + 1,) * 3):
        if any(waves):
            x, y, z = (np.cos(number * place) for number, place in zip(waves, places, strict=True))
            logarithm += rng.normal() / sum(waves) ** 2 * x[:, None, None] * y[None, :, None] * z[None, None, :]
    low, high = np.percentile(logarithm[brain], (5, 95))
    field = np.exp(logarithm * np.log1p(FIELD_SPREAD) / (high - low))
    return np.asarray(field / field[brain].mean())


def smoothed_out(scan: Scan, brain: np.ndarray) -> Scan:
    """Return a scan divided by its own mean within the brain, smoothed by a wide Gaussian."""
    volume = still(scan)
    widths = [SMOOTHING_MM / edge for edge in scan.geometry.spacing]
    total, weight = (ndimage.gaussian_filter(one, widths) for one in (volume * brain, brain.astype(np.float32)))
    field = np.where(brain, total / np.maximum(weight, 1e-6), 1)
    return Scan.of(np.where(brain, volume / np.maximum(field, 1e-6), 0), scan.geometry.affine)
