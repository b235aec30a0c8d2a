"""One simulated subject, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.acquisition import acquired
from scanweave.simulate.anatomy import Anatomy, draw_anatomy
from scanweave.simulate.artefacts import NOISE, digitise, receive_field
from scanweave.simulate.dynamic import acquire_series
from scanweave.simulate.fields import Array, smooth_field
from scanweave.simulate.head import ROOM, draw_head, outer_material, shell_signal
from scanweave.simulate.lesions import LESION, TISSUES, add_lesions, label_lesion, label_tissue
from scanweave.simulate.material import Material, Values
from scanweave.simulate.missing import absent_sequences
from scanweave.simulate.plaques import add_plaques
from scanweave.simulate.scanners import HEAD_SHARE, draw_session
from scanweave.simulate.sequences import Microstructure, acquire, derive
from scanweave.simulate.settings import SEQUENCES, BrainSettings
from scanweave.simulate.streams import Stream, stream
from scanweave.simulate.subject import Scan, Subject, fill
from scanweave.simulate.tissue import draw_material
from scanweave.simulate.vessels import draw_blood

COIL = 80.0
"""Distance over which the receive field varies [mm]."""


def simulate_subject(seed: int, index: int, settings: BrainSettings | None = None) -> Subject:
    """Simulate one subject.

    The same seed, index and settings give the same subject, whatever else is simulated; the anatomy, lesions and
    fields depend on seed and index alone, and on whether scanners are drawn. Masks are `brain` (1), `tissue` (1 CSF,
    2 GM, 3 WM, as under a lesion) and `lesion` (1 core, 2 rim, 3 oedema); the truth says volumes, lesions and the
    parameters of tissues that were drawn.

    Args:
        seed: Seed of the cohort.
        index: Number of the subject in it, from 0.
        settings: What to simulate; the defaults when left out.

    Raises:
        ScanweaveError: nilearn, which holds the template, is not installed.
    """
    settings = settings or BrainSettings()
    if settings.scanners:
        return _scanned(seed, index, settings)
    anatomy = draw_anatomy(stream(seed, index, Stream.ANATOMY), settings.spacing)
    fractions, lesions = add_lesions(stream(seed, index, Stream.LESIONS), anatomy, settings)
    material, dose = draw_material(stream(seed, index, Stream.TISSUE))
    micro = _microstructure(stream(seed, index, Stream.MICROSTRUCTURE), anatomy, settings.texture)
    blood = draw_blood(stream(seed, index, Stream.BLOOD), anatomy, settings.vessels)

    images = acquire(fractions, material, dose, micro, blood)
    fields = _receive_fields(seed, index, anatomy, settings.bias)
    images = {name: image * fields[name] for name, image in images.items()}
    images |= derive(images)
    times: dict[str, Values] = (
        {"dce": settings.dce_interval * np.arange(settings.dce_frames)} if settings.dce_frames else {}
    )
    if times:
        images["dce"] = acquire_series(fractions, material, dose, blood, times["dce"]) * fields["t1"][:, None]
    scans: dict[str, Scan] = {}
    for name in settings.names:
        rng = stream(seed, index, Stream.SCAN, _number(name))
        scans[name] = fill(anatomy.mask, digitise(rng, images[name], settings.noise * NOISE[name]))
    masks = _masks(anatomy, fractions)
    truth = {"lesions": lesions, "volume_ml": _volumes(masks, settings.spacing), "tissue": _parameters(material, dose)}
    absent = absent_sequences(settings, seed, index)
    affine = anatomy.grid.affine
    return Subject(scans=scans, times=times, b_values={}, masks=masks, affine=affine, absent=absent, truth=truth)


def _scanned(seed: int, index: int, settings: BrainSettings) -> Subject:
    """Simulate a subject on a scanner of its own, with skull and scalp or without; see `scanners`."""
    rng = stream(seed, index, Stream.HEAD)
    headed = bool(rng.random() < HEAD_SHARE)
    anatomy = draw_anatomy(stream(seed, index, Stream.ANATOMY), settings.spacing, ROOM if headed else 0.0)
    fractions, lesions = add_lesions(stream(seed, index, Stream.LESIONS), anatomy, settings)
    plaques = add_plaques(stream(seed, index, Stream.PLAQUES), anatomy, fractions)
    session = draw_session(stream(seed, index, Stream.SCANNER), settings.sequences)
    material, dose = draw_material(stream(seed, index, Stream.TISSUE))
    material = session.at_field(material)
    micro = _microstructure(stream(seed, index, Stream.MICROSTRUCTURE), anatomy, settings.texture)
    blood = draw_blood(stream(seed, index, Stream.BLOOD), anatomy, settings.vessels)
    shells = draw_head(rng, anatomy) if headed else None

    protocol = {name: how.protocol for name, how in session.scans.items()}
    common = smooth_field(stream(seed, index, Stream.FIELD), anatomy.grid, COIL)
    scans: dict[str, Scan] = {}
    for name, signal in acquire(fractions, material, dose, micro, blood, protocol).items():
        how, number = session.scans[name], _number(name)
        image = fill(anatomy.mask, signal)
        if shells is not None:
            image += shell_signal(shells, session.at_field(outer_material()), how)
        own = smooth_field(stream(seed, index, Stream.FIELD, 1 + number), anatomy.grid, COIL)
        image *= receive_field(common, own, how.bias)
        mean, level = float(image[anatomy.mask].mean()), settings.noise * NOISE[name]
        scan = acquired(stream(seed, index, Stream.SCAN, number), image, how, settings.spacing, mean=mean, noise=level)
        scans[name] = scan if headed else np.where(anatomy.mask, scan, np.int16(0))
    masks = _masks(anatomy, fractions)
    truth: dict[str, Any] = {"lesions": lesions, "volume_ml": _volumes(masks, settings.spacing)}
    truth |= {"tissue": _parameters(material, dose), "plaques": plaques, "head": headed, "scanner": session.record}
    return Subject(
        scans=scans,
        times={},
        b_values={},
        masks=masks,
        affine=anatomy.grid.affine,
        absent=absent_sequences(settings, seed, index),
        truth=truth,
    )


def _masks(anatomy: Anatomy, fractions: Array) -> dict[str, NDArray[np.uint8]]:
    return {
        "brain": anatomy.mask.astype(np.uint8),
        "tissue": fill(anatomy.mask, label_tissue(anatomy.fractions)),
        "lesion": fill(anatomy.mask, label_lesion(fractions)),
    }


def _number(name: str) -> int:
    """Return a number for a sequence that does not depend on which others are asked for."""
    return len(SEQUENCES) if name == "dce" else [str(known) for known in SEQUENCES].index(name)


def _microstructure(rng: Generator, anatomy: Anatomy, spread: float) -> Microstructure:
    """Draw the deviations of T1, T2 (coarse and fine) and proton density (a third as large)."""
    t1, t2 = (
        np.float32(spread) * (np.float32(0.8) * anatomy.field(rng, 20.0) + np.float32(0.6) * anatomy.field(rng, 8.0))
        for _ in range(2)
    )
    return Microstructure(pd=np.float32(spread / 3) * anatomy.field(rng, 16.0), t1=t1, t2=t2)


def _receive_fields(seed: int, index: int, anatomy: Anatomy, spread: float) -> dict[str, Array]:
    common = anatomy.field(stream(seed, index, Stream.FIELD), COIL)
    return {
        name: receive_field(common, anatomy.field(stream(seed, index, Stream.FIELD, 1 + _number(name)), COIL), spread)
        for name in ("t1", "t1c", "t2", "flair", "pd")
    }


def _volumes(masks: dict[str, NDArray[np.uint8]], spacing: float) -> dict[str, float]:
    counts = np.bincount(masks["lesion"].ravel(), minlength=len(LESION) + 1)
    voxel = spacing**3 / 1000
    parts = {name: round(float(counts[1 + number]) * voxel, 3) for number, name in enumerate(LESION)}
    return {"brain": round(float(masks["brain"].sum()) * voxel, 1)} | parts


def _parameters(material: Material, dose: Values) -> dict[str, dict[str, float]]:
    names = (*TISSUES, "blood")
    columns = {"pd": material.pd, "t1_ms": material.t1, "t2_ms": material.t2, "contrast_mmol_per_l": dose}
    return {
        name: {column: round(float(values[row]), 4) for column, values in columns.items()}
        for row, name in enumerate(names)
    }
