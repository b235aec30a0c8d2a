"""One simulated body, in memory."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import Generator

from scanweave.simulate.bodies.anatomy import Anatomy, body_grid, draw_build
from scanweave.simulate.bodies.findings import draw_findings
from scanweave.simulate.bodies.painting import LESIONS, ORGANS, paint_body
from scanweave.simulate.bodies.seats import seated
from scanweave.simulate.bodies.settings import BodiesSettings
from scanweave.simulate.bodies.sites import SITES
from scanweave.simulate.pairs import name_at
from scanweave.simulate.subject import Subject

SCAN, MASKS = "ct", ("organs", "lesions")


class _Stream(IntEnum):
    """Independent sources of randomness of a subject: what one draws does not move another."""

    BUILD, FINDINGS, SEATS, SHAPE, TEXTURE, SITE, NOISE = range(7)


def simulate_body(seed: int, index: int, settings: BodiesSettings | None = None) -> Subject:
    """Simulate one body, scanned on its back.

    The same seed, index and settings give the same subject; neither the patient nor the findings depend on spacing,
    noise or site. The scan `ct` is in HU, int16; masks are `organs` and `lesions`, see `ORGANS` and `LESIONS`.

    Args:
        seed: Seed of the cohort.
        index: Number of the subject in it, from 0.
        settings: What to simulate; the defaults when left out.
    """
    settings = settings or BodiesSettings.model_validate({})

    def rng(stream: _Stream) -> Generator:
        return np.random.default_rng((seed, index, stream))

    findings = draw_findings(rng(_Stream.FINDINGS), settings.prevalence)
    usual = draw_build(rng(_Stream.BUILD))
    build = usual.enlarged(findings)
    findings = seated(rng(_Stream.SEATS), build, findings)
    which, agent = rng(_Stream.SITE).random(2)
    name = name_at(settings.sites, which)
    site = SITES[name]
    contrast = bool(agent < site.contrast)
    grid = body_grid(settings.spacing)
    anatomy = Anatomy.on_grid(rng(_Stream.SHAPE), build, grid)
    body = paint_body(rng(_Stream.TEXTURE), grid, anatomy, findings, contrast=contrast)
    scan = site.scanned(rng(_Stream.NOISE), body.attenuation, settings.spacing, settings.noise)
    voxel = settings.spacing**3 / 1000
    counts = [np.bincount(mask.ravel(), minlength=20) for mask in (body.organs, body.lesions)]
    volumes = [
        {name: round(float(count[number]) * voxel, 2) for number, name in enumerate(names, start=1)}
        for names, count in zip((ORGANS, LESIONS), counts, strict=True)
    ]
    return Subject(
        scans={SCAN: scan},
        times={},
        b_values={},
        masks={"organs": body.organs, "lesions": body.lesions},
        affine=grid.affine,
        absent=(),
        truth={
            "site": name,
            "contrast": int(contrast),
            "labels": {finding: int(any(one.name == finding for one in findings)) for finding in settings.prevalence},
            "findings": [{**one.facts(), **body.painted.get(one, {})} for one in findings],
            "volume_ml": {"organs": volumes[0], "lesions": volumes[1]},
            "build": usual.facts(),
        },
    )
