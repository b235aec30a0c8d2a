"""A cohort of spectral sinograms whose truth is known.

`studies/<study>/` holds `ct.h5` (the counts, see `studies.sinogram_files`), `bins.nii.gz` (the true attenuation of each
bin [1/mm]: that of a thin object, so without beam hardening), `materials.nii.gz` (the true density of each of
`MATERIALS` [g/cm³]) and `truth.json`. The images are slices of one voxel with the bins, or materials, along the fourth
axis; a single bin has no such axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.files import atomic_folder, write_json
from scanweave.physics.ct.geometry import CtGeometry
from scanweave.physics.spectral.decomposition import binned_attenuation
from scanweave.physics.spectral.spectra import tube_spectrum
from scanweave.simulate.cohort_folder import checked_settings
from scanweave.simulate.ct.acquisition import acquire
from scanweave.simulate.ct.bodies import draw_body
from scanweave.simulate.ct.maps import MATERIALS, MaterialMap
from scanweave.simulate.ct.settings import CtSettings
from scanweave.simulate.writing import STUDIES, TRUTH, claim, in_processes, name_of
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.formats.sinogram_hdf5 import write_sinogram
from scanweave.studies.sinogram import Sinogram
from scanweave.studies.slice_scans import slice_scan

SINOGRAM, BINS, MAPS = "ct.h5", "bins.nii.gz", "materials.nii.gz"
AGENTS = ("iodine", "gadolinium")
"""Materials whose map is a scan of the study; the others lie in the same file."""


def simulate_ct(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Cohort:
    """Simulate spectral CT of random bodies into `out`, which is a scanweave cohort afterwards.

    Subjects that `out` already holds are kept, so that an interrupted call is taken up where it stopped and a larger
    number adds to a smaller one. Bodies are drawn on a finer grid than they are reconstructed on, and each detector
    element averages several rays, so that no reconstruction can invert the simulation exactly.

    Args:
        out: Folder to make.
        subjects: How many.
        seed: Any non-negative number; the same one gives the same cohort.
        workers: Processes; the result does not depend on them.
        progress: Called with the number of subjects done and of all, after each.
        **settings: Fields of `CtSettings`.

    Raises:
        ScanweaveError: A setting is wrong, or `out` holds something else or the cohort of another request.
    """
    out = Path(out)
    advice = "See: scanweave simulate ct --help"
    chosen = checked_settings(CtSettings, settings, advice, subjects=subjects, seed=seed, workers=workers)
    claim(out, {"system": "ct", "seed": seed, "settings": chosen.model_dump(mode="json")})
    write = partial(_write_subject, out, seed, chosen)
    for done, _ in enumerate(in_processes(write, range(subjects), workers), start=1):
        if progress is not None:
            progress(done, subjects)
    rows = [_row(name_of(index), chosen) for index in range(subjects)]
    (out / ABOUT).unlink(missing_ok=True)
    return Cohort.create(out, rows, root=".", name=out.name, source="scanweave simulate ct", layout="simulated")


def simulate_slice(seed: int, index: int, settings: CtSettings) -> tuple[Sinogram, MaterialMap]:
    """Draw and measure subject `index`: its counts, and its materials on the grid of the reconstruction."""
    rng = np.random.default_rng([seed, index])
    factor = settings.supersampling
    body = draw_body(rng, settings.size, settings.field_of_view, settings.body, supersampling=factor)
    scan = settings.scan()
    project = _projection(scan, factor, settings.rays)
    spectrum = tube_spectrum(settings.kvp)
    measured = acquire(body, project, scan.to_dict(), spectrum, settings.detector, settings.photons, rng)
    return measured, body.coarsened(factor)


@lru_cache(maxsize=2)
def _projection(scan: CtGeometry, factor: int, rays: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what integrates images on a grid `factor` times finer, each the mean over the rays through an element."""
    from scanweave.physics.ct.projector import Projector  # needs the group `ct`, which bodies alone do not

    rows, columns = scan.shape
    fine = replace(
        scan,
        shape=(rows * factor, columns * factor),
        pixel=scan.pixel / factor,
        detectors=scan.detectors * rays,
        pitch=scan.pitch / rays,
    )
    projector = Projector(fine)

    def project(images: NDArray[Any]) -> NDArray[Any]:
        integrals = projector.forward(torch.from_numpy(np.ascontiguousarray(images, np.float32))).numpy()
        return np.asarray(integrals.reshape(*integrals.shape[:-1], scan.detectors, rays).mean(axis=-1))

    return project


def _write_subject(out: Path, seed: int, settings: CtSettings, index: int) -> None:
    folder = out / STUDIES / name_of(index)
    if folder.exists():
        return
    measured, body = simulate_slice(seed, index, settings)
    matrix = binned_attenuation(MATERIALS, tube_spectrum(settings.kvp), settings.detector)
    with atomic_folder(folder) as temporary:
        write_sinogram(temporary / SINOGRAM, measured)
        bins = body.bin_images(matrix)
        write_scan(temporary / BINS, slice_scan(bins if len(bins) > 1 else bins[0], settings.pixel))
        write_scan(temporary / MAPS, slice_scan(body.densities, settings.pixel))
        facts = {"index": index, "bins": list(settings.bins), "materials": list(MATERIALS)}
        write_json(temporary / TRUTH, facts | {"attenuation_cm2_g": matrix.tolist()})


def _row(name: str, settings: CtSettings) -> dict[str, Any]:
    folder = f"{STUDIES}/{name}"
    row = {"study": name, "patient": name, "sinogram:ct": f"{folder}/{SINOGRAM}"}
    several = len(settings.bins) > 1
    row |= {
        f"scan:{image}": f"{folder}/{BINS}#{n}" if several else f"{folder}/{BINS}"
        for n, image in enumerate(settings.bins)
    }
    return row | {f"scan:{agent}": f"{folder}/{MAPS}#{MATERIALS.index(agent)}" for agent in AGENTS}
