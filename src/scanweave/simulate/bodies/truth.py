"""Truth of a simulated cohort of bodies, in words and numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scanweave.simulate.bodies.findings import LINKS
from scanweave.simulate.bodies.painting import LESIONS, ORGANS
from scanweave.simulate.bodies.settings import BodiesSettings
from scanweave.simulate.bodies.sites import SITES


def describe(settings: BodiesSettings, seed: int) -> dict[str, Any]:
    """Return the truth that all bodies share, for `truth.json`."""
    planted = settings.prevalence
    return {
        "seed": seed,
        "randomness": "numpy.random.default_rng((seed, subject index, stream))",
        "settings": settings.model_dump(mode="json"),
        "sites": {name: asdict(SITES[name]) for name in settings.sites},
        "links": {
            name: {"beside": other, "times": times}
            for name, (other, times) in LINKS.items()
            if name in planted and other in planted
        },
        "masks": {
            mask: {str(number): name for number, name in enumerate(names, start=1)}
            for mask, names in (("organs", ORGANS), ("lesions", LESIONS))
        },
        "sizes": "diameter, or depth of fluid, before the smooth deformation [mm]; of an enlarged organ the factor; of "
        "steatosis the attenuation of the liver without contrast agent [HU]",
        "coordinates": "centre: RAS mm before deformation, in a cavity of usual size; middle_mm: RAS mm in the scan; "
        "volumes are those of the masks",
    }
