#!/usr/bin/env bash
# SimpleITK 2.5.7: a registration with `SetNumberOfThreads(1)` is not the same twice, with one work unit it is.
#
# `ImageRegistrationMethod.SetNumberOfThreads(1)` sounds like one thread, so sums in one order and equal transforms for
# equal scans and a fixed seed of the samples; `GetNumberOfThreads()` then says 1. But the work units stay as many as the
# process has threads by default, and with several, Mattes' metric differs in its last bits from run to run. The optimiser
# makes more of them the noisier the scans and the fewer the samples: among our made-up heads anything from 1e-15 to
# 1 mm. The seed of `SetMetricSamplingPercentage` has no part in it. Where the default is one thread nothing is seen.
#
# By hand: six runs of one registration of one pair, one seed, are one transform.
#
# Seen (Python 3.11; 2 cores, 4 threads by default; in the first two lines the millimetres vary, 1e-07 to 0.003):
#   SetNumberOfThreads(1): 6 transforms of 6 runs, shifts differ by up to 0.003 mm
#   SetNumberOfThreads(1), SetNumberOfWorkUnits(4): 6 transforms of 6 runs, shifts differ by up to 0.003 mm
#   SetNumberOfWorkUnits(1): 1 transforms of 6 runs, shifts differ by up to 0 mm
#   ProcessObject.SetGlobalDefaultNumberOfThreads(1): 1 transforms of 6 runs, shifts differ by up to 0 mm
#
# What helps: `SetNumberOfWorkUnits(1)` on the method, or the global default before it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile SimpleITK==2.5.7 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

RUNS, SIZE, SEED = 6, 40, 7
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(4)
random = np.random.default_rng(1)
centre = (SIZE / 2,) * 3

z, y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
inside = (x / 0.7) ** 2 + (y / 0.6) ** 2 + (z / 0.5) ** 2 < 1
head = sitk.GetImageFromArray(np.where(inside, 100 + 60 * np.sin(6 * x) * np.cos(5 * y), 0))
moved = sitk.Resample(head, sitk.Euler3DTransform(centre, 0.1, 0.05, -0.08, (3, -1, 2)))


def noisy(image):
    voxels = sitk.GetArrayFromImage(image)
    return sitk.GetImageFromArray((voxels + random.normal(0, 60, voxels.shape)).astype(np.float32))


fixed, moving = noisy(head), noisy(200 - moved)


def register(threads=None, work_units=None):
    method = sitk.ImageRegistrationMethod()
    if threads is not None:
        method.SetNumberOfThreads(threads)
    if work_units is not None:
        method.SetNumberOfWorkUnits(work_units)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 1e-3, 150, relaxationFactor=0.9)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(sitk.Euler3DTransform(centre), inPlace=False)
    return method.Execute(fixed, moving).GetParameters()


def distinct(name, **settings):
    transforms = np.array([register(**settings) for _ in range(RUNS)])
    count = len(np.unique(transforms, axis=0))
    apart = np.ptp(transforms[:, 3:], axis=0).max()
    print(f"{name}: {count} transforms of {RUNS} runs, shifts differ by up to {apart:.1g} mm")
    return count


threads = distinct("SetNumberOfThreads(1)", threads=1)
units = distinct("SetNumberOfThreads(1), SetNumberOfWorkUnits(4)", threads=1, work_units=4)
one_unit = distinct("SetNumberOfWorkUnits(1)", work_units=1)
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
everywhere = distinct("ProcessObject.SetGlobalDefaultNumberOfThreads(1)")
if not (threads > 1 and units > 1 and one_unit == everywhere == 1):
    sys.exit("the behaviour changed")
PYTHON
