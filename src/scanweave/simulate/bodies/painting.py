"""A body painted organ by organ: attenuation [HU], and the masks of organs and findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanweave.simulate.bodies.anatomy import HEART, KIDNEYS, PERICARDIAL, PERIRENAL, SIGN, WALL, Anatomy, Point, scaled
from scanweave.simulate.bodies.findings import SIZES, Finding
from scanweave.simulate.bodies.sites import AIR
from scanweave.simulate.fields import Array, Grid, share_inside, smooth_field, threads

ORGANS = (
    "right_lung",
    "left_lung",
    "heart",
    "aorta",
    "liver",
    "spleen",
    "right_kidney",
    "left_kidney",
    "bones",
)
"""In the order of their numbers in the mask `organs`, from 1."""
LESIONS = tuple(SIZES)
"""In the order of their numbers in the mask `lesions`, from 1."""
FAT, MUSCLE, WATER, MARROW, CORTEX = -100.0, 55.0, 8.0, 180.0, 480.0
LUNG, LIVER, SPLEEN, KIDNEY, HEART_MUSCLE, BLOOD = -860.0, 60.0, 50.0, 34.0, 50.0, 42.0
"""Attenuation without contrast agent [HU]."""
AGENT = {"liver": 45.0, "spleen": 70.0, "kidney": 135.0, "heart": 45.0, "blood": 120.0}
"""What contrast agent adds in the portal venous phase [HU]; about as in practice, ours."""
_EDGE, _SHARPEST = 0.27, 0.4
"""Softness of a border, in voxels, and the least of it [mm]."""
Field = Callable[[float], Array]


class Body(NamedTuple):
    """Hold a painted body, all `(X, Y, Z)`.

    Attributes:
        attenuation: [HU].
        organs: Number of the organ, as under a nodule or cyst; 0 for none.
        lesions: Number of the kind of finding; 0 for none.
        painted: Of each finding that is something by itself its middle [RAS mm] and volume [mL], as painted.
    """

    attenuation: Array
    organs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    painted: dict[Finding, dict[str, Any]]


def paint_body(rng: Generator, grid: Grid, anatomy: Anatomy, findings: list[Finding], *, contrast: bool) -> Body:
    """Paint a body.

    Args:
        rng: The source of textures and vessels; it draws the same, whatever the findings are.
        grid: Its voxels.
        anatomy: Where organs lie.
        findings: With their places.
        contrast: Whether it is scanned with contrast agent.
    """
    painter = _Painter(grid, anatomy, contrast=contrast)

    def field(scale: float) -> Array:
        return smooth_field(rng, grid, scale)

    painter.wall(field)
    painter.chest(field)
    painter.abdomen(field, findings)
    painter.spine()
    painter.show(field, findings)
    return Body(painter.attenuation, painter.organs, painter.lesions, painter.painted)


class _Painter:
    """Paint one part over the other."""

    def __init__(self, grid: Grid, anatomy: Anatomy, *, contrast: bool) -> None:
        self.anatomy, self.agent = anatomy, AGENT if contrast else dict.fromkeys(AGENT, 0.0)
        self.softness = max(_SHARPEST, _EDGE * grid.spacing)
        self.grid, self.painted = grid, dict[Finding, dict[str, Any]]()
        self.attenuation = np.full(grid.shape, AIR, np.float32)
        self.organs, self.lesions = (np.zeros(grid.shape, np.uint8) for _ in range(2))
        self.liver = LIVER

    def put(
        self, distance: Array, value: float | Array, organ: str | None = None, *, within: Array | None = None
    ) -> Array:
        """Paint what lies inside of a border, and return the share of each voxel; `organ` is its name in the mask."""
        share = share_inside(distance, self.softness)
        if within is not None:
            share *= within
        self.attenuation += share * (value - self.attenuation)
        self.organs[share > 0.5] = 0 if organ is None else ORGANS.index(organ) + 1
        return share

    def wall(self, field: Field) -> None:
        """Paint skin, fat, muscle, ribs and breastbone, and the fat within."""
        anatomy = self.anatomy
        inner, (x, y, z) = anatomy.inner, anatomy.places
        self.put(inner + np.float32(WALL + anatomy.build.fat + 2), 20.0)
        self.put(inner + np.float32(WALL + anatomy.build.fat), FAT + 8 * field(12.0))
        streaks = np.clip(field(9.0) - 1, 0, None)
        self.put(inner + np.float32(WALL), MUSCLE - 60 * streaks)
        # ribs slope down to the front, 24 mm apart, and lie in the middle of the wall
        phase = ((z + np.float32(0.55) * y) / 24) % 1 - np.float32(0.5)
        ring = np.float32(4.5) - np.sqrt((inner + np.float32(7)) ** 2 + (np.abs(phase) * 24) ** 2)
        chest = np.minimum(z + np.float32(70), np.maximum(np.abs(x) - np.float32(16), -y))
        self.put(np.minimum(ring, chest), CORTEX * 0.8, "bones")
        self.put(np.minimum(ring - np.float32(1.8), chest), MARROW, "bones")
        breastbone = anatomy.ellipsoid((0.0, 101.0, 52.0), (17.0, 6.0, 76.0))
        self.put(breastbone, CORTEX * 0.6, "bones")
        self.put(breastbone - np.float32(2), MARROW, "bones")
        self.put(inner, FAT + 6 * field(14.0))

    def chest(self, field: Field) -> None:
        """Paint lungs with their vessels, heart, great vessels and windpipe."""
        anatomy, blood = self.anatomy, BLOOD + self.agent["blood"]
        vessels = threads(field(26.0), field(26.0), 0.16) + threads(field(13.0), field(13.0), 0.09)
        lower = np.clip(-anatomy.places[1] / 94, -1, 1)  # lungs are denser where the patient lies on them
        lung = LUNG + 45 * lower + 25 * field(20.0) + 12 * field(6.0)
        lung = lung + np.clip(vessels, 0, 1) * (MUSCLE * 0.8 - lung)
        for side in SIGN:
            self.put(anatomy.lungs[side] + np.float32(1.2), MUSCLE)
            self.put(anatomy.lungs[side], lung, f"{side}_lung")
        heart, inside = anatomy.heart, anatomy.inner - np.float32(3)
        self.put(np.minimum(heart + np.float32(PERICARDIAL), inside), FAT + 5)
        self.put(np.minimum(heart, inside), HEART_MUSCLE + self.agent["heart"], "heart")
        size = anatomy.build.factors["heart"]
        for shift, axes in (((-14.0, 4.0, -4.0), (24.0, 22.0, 28.0)), ((20.0, -6.0, 2.0), (20.0, 24.0, 30.0))):
            centre = tuple(a + b for a, b in zip(HEART, shift, strict=True))
            self.put(anatomy.ellipsoid(centre, scaled(axes, size)), blood, "heart")  # type: ignore[arg-type]
        self.put(anatomy.superior_vena_cava, blood)
        self.put(anatomy.aorta, blood, "aorta")
        self.put(anatomy.tube((2.0, -30.0), 9.0, 78.0, 200.0), float(AIR))
        self.put(anatomy.tube((-2.0, -44.0), 7.0, 0.0, 200.0), 35.0)

    def abdomen(self, field: Field, findings: list[Finding]) -> None:
        """Paint bowel, stomach, liver, spleen, pancreas, kidneys and the great vessels."""
        anatomy, agent = self.anatomy, self.agent
        _, y, z = anatomy.places
        under = np.minimum(-anatomy.above_diaphragm("right"), -anatomy.above_diaphragm("left"))
        room = np.minimum(np.minimum(under, anatomy.inner) - np.float32(8), -z - np.float32(70))
        loops = np.minimum(24 * (threads(field(44.0), field(44.0), 0.55) - np.float32(0.45)), room)
        gas = np.where(y + 14 * field(50.0) > 55, np.float32(AIR), np.float32(28))
        self.put(loops, 40.0)
        self.put(loops - np.float32(3), gas)
        stomach = np.minimum(anatomy.ellipsoid((-52.0, 24.0, -36.0), (36.0, 40.0, 34.0)), under - np.float32(5))
        self.put(stomach, 42.0)
        self.put(stomach - np.float32(4), np.where(y > 44, np.float32(AIR), np.float32(16)))
        fatty = next((one.size for one in findings if one.name == "steatosis"), LIVER)
        self.liver = fatty + agent["liver"] * (0.7 if fatty < LIVER else 1.0)
        branches = threads(field(30.0), field(30.0), 0.14)
        vessel = BLOOD + agent["blood"] * 0.75 - self.liver
        self.put(anatomy.liver, self.liver + 3 * field(18.0) + vessel * branches, "liver")
        self.put(anatomy.gallbladder, WATER)
        self.put(anatomy.pancreas, 40 + agent["spleen"] * 0.7 + 8 * field(8.0))
        self.put(anatomy.spleen, SPLEEN + agent["spleen"] + 3 * field(12.0), "spleen")
        for side, centre in KIDNEYS.items():
            self.put(anatomy.kidney(side) + np.float32(PERIRENAL), FAT - 5)
            self.put(anatomy.kidney(side), KIDNEY + agent["kidney"], f"{side}_kidney")
            hilum = (centre[0] - SIGN[side] * 12.0, centre[1] + 2, centre[2])
            self.put(anatomy.ellipsoid(hilum, (11.0, 9.0, 26.0)), FAT)
        self.put(anatomy.vena_cava, BLOOD + agent["blood"] * 0.85)
        for sign in SIGN.values():
            self.put(np.minimum(anatomy.ellipsoid((sign * 34.0, -60.0, -130.0), (17.0, 17.0, 62.0)), room + 40), MUSCLE)

    def spine(self) -> None:
        """Paint vertebrae 28 mm apart with discs between, canal, arch and the muscles beside."""
        anatomy = self.anatomy
        _, y, z = anatomy.places
        for sign in SIGN.values():
            back = anatomy.tube((sign * 30.0, -96.0), 20.0, -300.0, 300.0)
            self.put(np.minimum(back, -anatomy.lungs["right" if sign > 0 else "left"] - 1), MUSCLE)
        whole = anatomy.spine
        self.put(whole, 80.0)
        height = np.abs(z / 28 % 1 - np.float32(0.5)) * 28
        vertebra = np.minimum(whole, np.float32(11) - height)
        self.put(vertebra, CORTEX, "bones")
        self.put(vertebra - np.float32(1.6), MARROW, "bones")
        arch = np.minimum(anatomy.ellipsoid((0.0, -104.0, 0.0), (26.0, 12.0, 900.0)), np.float32(9) - height)
        self.put(arch, CORTEX * 0.8, "bones")
        self.put(anatomy.tube((0.0, -98.0), 8.5, -300.0, 300.0), 25.0)
        spine = np.minimum(anatomy.ellipsoid((0.0, -118.0, 0.0), (4.0, 14.0, 900.0)), np.float32(7) - height)
        self.put(np.minimum(spine, -y), CORTEX * 0.7, "bones")

    def show(self, field: Field, findings: list[Finding]) -> None:
        """Paint the findings that are something by themselves."""
        rough, bronchi = field(14.0), threads(field(16.0), field(16.0), 0.12)
        for one in sorted(findings, key=lambda one: LESIONS.index(one.name) if one.name in LESIONS else -1):
            if one.name == "effusion":
                lung = share_inside(self.anatomy.lungs[one.half], self.softness)
                lung *= self.organs == ORGANS.index(f"{one.side}_lung") + 1
                self._lesion(one, self.put(self.anatomy.fluid(one.size), WATER + 4, within=lung))
            elif one.centre is not None:
                self._round(one, one.centre, rough, bronchi)

    def _round(self, one: Finding, centre: Point, rough: Array, bronchi: Array) -> None:
        """Paint a finding around its place."""
        distance = np.float32(one.size / 2) - self.anatomy.sphere(centre)
        organs = self.organs.copy()
        inside, value = None, WATER
        if one.name in ("nodule", "consolidation"):
            inside = (organs == ORGANS.index(f"{one.side}_lung") + 1).astype(np.float32)
            value = {"calcified": 350.0}.get(one.kind, 35.0)
        if one.name == "consolidation":
            border = np.minimum(distance + np.float32(one.size * 0.12) * rough, self.anatomy.lobe(one.half, one.lobe))
            share = self.put(
                np.asarray(border / 2, np.float32), np.asarray(value - 500 * bronchi, np.float32), within=inside
            )
        elif one.name == "liver_lesion":
            inside = (organs == ORGANS.index("liver") + 1).astype(np.float32)
            more = (40.0 if self.agent["liver"] else -25.0) if one.kind == "enhancing" else -42.0
            share = self.put(distance + rough, self.liver + more, within=inside)
        else:
            share = self.put(distance + (rough if one.name == "nodule" else 0), value, within=inside)
        self.organs = organs  # what lies under a finding stays in the mask of organs
        self._lesion(one, share)

    def _lesion(self, one: Finding, share: Array) -> None:
        """Put a finding into the mask: where it fills half of a voxel; if it does nowhere, where it fills most."""
        where = share > min(0.5, 0.99 * float(share.max()))
        self.lesions[where] = LESIONS.index(one.name) + 1
        places = np.argwhere(where)
        voxels = self.grid.affine[:3, :3] @ places.mean(axis=0) + self.grid.affine[:3, 3]
        volume = len(places) * self.grid.spacing**3 / 1000
        self.painted[one] = {"middle_mm": [round(float(x), 1) for x in voxels], "volume_ml": round(volume, 2)}
