"""One simulated breast examination, in memory."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.artefacts import digitise, receive_field
from scanweave.simulate.breast.anatomy import TISSUES, BreastAnatomy, draw_anatomy, label_tissue
from scanweave.simulate.breast.lesions import Place, add_lesions, first_seat, label_lesions
from scanweave.simulate.breast.maps import MAPS, diffusion_map, enhancement_maps
from scanweave.simulate.breast.outcomes import Patient, but_for_t2, draw_lesion, draw_patient
from scanweave.simulate.breast.protocol import NOISE, PROTOCOL, Bolus
from scanweave.simulate.breast.sequences import Body, BreastTexture, acquire, acquire_diffusion, acquire_series
from scanweave.simulate.breast.settings import ADC, SEQUENCES, BreastSettings
from scanweave.simulate.breast.shape import Shape
from scanweave.simulate.breast.sites import PLAIN, Site
from scanweave.simulate.breast.tissue import draw_bolus, draw_tissues
from scanweave.simulate.breast.traits import SERIES, Traits, draw_traits, noiseless_measures
from scanweave.simulate.fields import Array
from scanweave.simulate.missing import absent_at_random
from scanweave.simulate.subject import Scan, Subject, fill

_FAILS = 0.6
"""Spread of what fat suppression leaves over the body (in log units)."""


class _Stream(IntEnum):
    """Independent sources of randomness of a subject: what one draws does not move another."""

    ANATOMY, BOLUS, TRAITS, LESIONS, TISSUE, TEXTURE, FIELD, SCAN, OUTCOMES = range(9)


_Draws = Callable[[_Stream, int], Generator]


def simulate_subject(seed: int, index: int, settings: BreastSettings | None = None) -> Subject:
    """Simulate one subject.

    The same seed, index and settings give the same subject, whatever else is simulated; anatomy, lesions and fields do
    not depend on spacing, noise or the sequences that are asked for. Masks are `breast` (what lies before the muscle),
    `tissue` (from 1: `TISSUES`, as under a lesion; 0 is air) and `lesion` (numbered, largest first).

    Args:
        seed: Seed of the cohort.
        index: Number of the subject in it, from 0.
        settings: What to simulate; the defaults when left out.

    Raises:
        ScanweaveError: No kinetics give a curve of a type that was drawn at these times.
    """
    settings = settings or BreastSettings.model_validate({})

    def rng(stream: _Stream, number: int = 0) -> Generator:
        """Return a source of randomness; `number` tells apart those of one kind."""
        return np.random.default_rng((seed, index, stream, number))

    bolus = draw_bolus(rng(_Stream.BOLUS), settings.injection)
    patient = draw_patient(rng(_Stream.OUTCOMES), settings) if settings.outcomes else None
    lesions = _lesions(rng(_Stream.TRAITS), settings, bolus, patient)

    def middle(shape: Shape) -> Place:
        return first_seat(rng(_Stream.LESIONS), shape, lesions[0].diameter, settings.field)

    anatomy = draw_anatomy(rng(_Stream.ANATOMY), settings, middle if settings.crop else None)
    fractions, seats = add_lesions(rng(_Stream.LESIONS), anatomy, lesions, settings.field)
    tissues, texture = draw_tissues(rng(_Stream.TISSUE)), _texture(rng(_Stream.TEXTURE), anatomy, settings)
    elsewhere = [but_for_t2(lesion) for lesion in lesions] if patient else lesions

    def body_of(name: str) -> Body:
        """Return the body as a sequence shows it."""
        return Body(fractions, tissues.with_lesions(lesions if name == "t2" else elsewhere), texture)

    scans = _scans(rng, anatomy, body_of, bolus, settings, patient.site if patient else PLAIN)
    masks = _masks(anatomy, fractions)
    facts = [
        {"number": number} | seat | lesion.facts() | {"noiseless": noiseless_measures(shown, bolus, settings)}
        for number, (seat, lesion, shown) in enumerate(zip(seats, lesions, elsewhere, strict=True), start=1)
    ]
    absent = settings.protocol == "random"
    return Subject(
        scans={name: scans[name] for name in settings.sequences},
        times={name: np.array(getattr(settings, times)) for name, times in SERIES.items()},
        b_values={"dwi": settings.b_values},
        masks=masks,
        affine=anatomy.grid.affine,
        absent=absent_at_random(settings.sequences, settings.missing, seed, index) if absent else (),
        truth={
            "lesions": facts,
            "volume_ml": _volumes(masks, settings.spacing, len(lesions)),
            "bolus": {"dose": round(bolus.dose, 4), "arrival_s": round(bolus.arrival, 2)},
            "tissue": tissues.facts(),
        }
        | ({"outcomes": patient.facts()} if patient else {}),
    )


def _lesions(rng: Generator, settings: BreastSettings, bolus: Bolus, patient: Patient | None) -> list[Traits]:
    return [draw_lesion(rng, settings, bolus, patient)] if patient else draw_traits(rng, settings, bolus)


def _scans(
    rng: _Draws,
    anatomy: BreastAnatomy,
    body_of: Callable[[str], Body],
    bolus: Bolus,
    settings: BreastSettings,
    site: Site,
) -> dict[str, Scan]:
    """Acquire the sequences that are asked for, and those of which maps are."""
    mapped = not MAPS.keys().isdisjoint(settings.sequences)
    acquired = {*settings.sequences} | ({"dce"} if mapped else set()) | ({"dwi"} if settings.has_adc else set())
    common = anatomy.field(rng(_Stream.FIELD, 0), 80.0)
    scans: dict[str, Scan] = {}
    for number, name in enumerate(map(str, SEQUENCES)):
        if name in PROTOCOL and name in acquired:
            image = site.blurred(_acquired(body_of(name), name, bolus, settings), anatomy.mask, settings.spacing)
            coil = receive_field(common, anatomy.field(rng(_Stream.FIELD, 1 + number), 80.0), settings.bias)
            image *= coil if image.ndim == 1 else coil[:, None]
            noise = settings.noise * NOISE[name] * site.noise
            noisy = digitise(rng(_Stream.SCAN, number), image, noise, site.units)
            scans[name] = fill(anatomy.mask, noisy)
    if mapped:
        scans |= enhancement_maps(scans["dce"], anatomy.mask, settings.phases("dce_times"))
    return scans | ({ADC: diffusion_map(scans["dwi"], anatomy.mask, settings.b_values)} if settings.has_adc else {})


def _texture(rng: Generator, anatomy: BreastAnatomy, settings: BreastSettings) -> BreastTexture:
    def field(spread: float, coarse: float, fine: float) -> Array:
        mixed = np.float32(0.8) * anatomy.field(rng, coarse) + np.float32(0.6) * anatomy.field(rng, fine)
        return np.asarray(np.float32(spread) * np.clip(mixed, -2.5, 2.5), np.float32)

    spread = settings.texture
    return BreastTexture(
        pd=field(spread / 2, 12.0, 4.0),
        t1=field(spread, 18.0, 7.0),
        t2=field(spread, 18.0, 7.0),
        adc=field(spread, 18.0, 7.0),
        uptake=field(settings.uptake, 14.0, 5.0),
        left=np.clip(np.float32(settings.suppression) * np.exp(np.float32(_FAILS) * anatomy.field(rng, 45.0)), 0, 1),
    )


def _acquired(body: Body, name: str, bolus: Bolus, settings: BreastSettings) -> Array:
    if name in SERIES:
        return acquire_series(body, name, bolus, getattr(settings, SERIES[name]))
    if name == "dwi":
        return acquire_diffusion(body, name, settings.b_values)
    return acquire(body, name)


def _masks(anatomy: BreastAnatomy, fractions: Array) -> dict[str, NDArray[np.uint8]]:
    chest = fractions[[TISSUES.index("muscle"), TISSUES.index("lung")]].sum(axis=0)
    breast = (anatomy.behind < 0) & (chest <= fractions.sum(axis=0) / 2)
    return {
        "breast": fill(anatomy.mask, breast.astype(np.uint8)),
        "tissue": fill(anatomy.mask, label_tissue(anatomy.fractions)),
        "lesion": fill(anatomy.mask, label_lesions(fractions, len(TISSUES))),
    }


def _volumes(masks: dict[str, NDArray[np.uint8]], spacing: float, lesions: int) -> dict[str, Any]:
    """Return the volume of the breast, of the tissues of it that vary, and of each lesion [mL]."""
    voxel = spacing**3 / 1000
    counts = np.bincount(masks["lesion"].ravel(), minlength=lesions + 1)[1:]
    inside = masks["tissue"][masks["breast"] > 0]
    labelled = {name: int((inside == TISSUES.index(name) + 1).sum()) for name in ("fat", "gland")}
    volumes = {"breast": int(masks["breast"].sum()), **labelled, "lesion": int(counts.sum())}
    return {name: round(count * voxel, 3) for name, count in volumes.items()} | {
        "of_each_lesion": [round(float(count) * voxel, 3) for count in counts]
    }
