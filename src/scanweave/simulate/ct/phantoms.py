"""A head and a thorax of ellipses, in the spirit of the FORBILD phantoms.

"FORBILD-like": they pose the tasks of the FORBILD head and thorax phantoms (low contrast beside bone, fine structures,
air, dense spine), but the ellipses, sizes and materials are our own, and contrast agents are added. Lengths in mm.
"""

from __future__ import annotations

from scanweave.simulate.ct.ellipses import Ellipse, paint
from scanweave.simulate.ct.maps import MaterialMap, contents
from scanweave.simulate.ct.plane import Plane

HEAD_FIELD, THORAX_FIELD = 220.0, 400.0
"""Field of view that holds the phantom [mm]."""
_SOFT = contents({"soft_tissue": 1.0})
_BONE = contents({"bone": 1.0})
_SPONGY = contents({"bone": 0.25, "adipose": 0.35, "soft_tissue": 0.4})
_FAT = contents({"adipose": 1.0})
_WATER = contents({"water": 1.0})
_LUNG = contents({"soft_tissue": 0.25})
_AIR: dict[str, float] = {}


def head_phantom(size: int, *, supersampling: int = 1) -> MaterialMap:
    """Draw the head: skull, ventricles, eyes, sinus, temporal bones with air cells, low contrast, a vessel, a bleed.

    Args:
        size: Pixels along each side after coarsening; the field of view is `HEAD_FIELD`.
        supersampling: Each is split into this many times as many; `.coarsened(supersampling)` gives the truth.
    """
    return paint(Plane.square(size, HEAD_FIELD).finer(supersampling), _head())


def thorax_phantom(size: int, *, supersampling: int = 1) -> MaterialMap:
    """Draw the thorax: fat, muscle, ribs, spine, lungs with nodules, heart with iodine, a mass with gadolinium.

    Args:
        size: Pixels along each side after coarsening; the field of view is `THORAX_FIELD`.
        supersampling: Each is split into this many times as many; `.coarsened(supersampling)` gives the truth.
    """
    return paint(Plane.square(size, THORAX_FIELD).finer(supersampling), _thorax())


def _head() -> list[Ellipse]:
    faint = [
        Ellipse(-34 + 17 * number, -52, 6, 6, contents({"soft_tissue": 1 + change}))
        for number, change in enumerate((0.005, 0.01, -0.005, -0.01, 0.02))
    ]
    return [
        Ellipse(0, 0, 78, 98, _FAT),
        Ellipse(0, 0, 76, 96, _SOFT),
        Ellipse(0, 0, 73, 93, _BONE),
        Ellipse(0, 0, 70.5, 90.5, _SPONGY),
        Ellipse(0, 0, 68, 88, _BONE),
        Ellipse(0, 0, 66, 86, _WATER),
        Ellipse(0, 0, 64, 84, _SOFT),
        Ellipse(-11, 4, 6, 22, _WATER, -12),
        Ellipse(11, 4, 6, 22, _WATER, 12),
        Ellipse(0, -30, 4, 12, _WATER),
        Ellipse(-32, 68, 13, 12, _WATER, -20),
        Ellipse(32, 68, 13, 12, _WATER, 20),
        Ellipse(0, 84, 10, 7, _AIR),
        *_temporal_bone(-1),
        *_temporal_bone(1),
        *faint,
        Ellipse(36, 20, 9, 7, contents({"blood": 1.0, "soft_tissue": 0.03}), -30),
        Ellipse(-38, 22, 8, 8, contents({"soft_tissue": 1.0}, gadolinium=2.0)),
        Ellipse(0, 38, 2.5, 2.5, contents({"blood": 1.0}, iodine=10.0)),
        Ellipse(0, -72, 3, 2, contents({"blood": 1.0}, iodine=6.0)),
    ]


def _temporal_bone(side: int) -> list[Ellipse]:
    """Return petrous bone with rows of air cells, 4 and 2 mm wide."""
    bone = Ellipse(side * 50, -22, 14, 8, _BONE, side * 30)
    cells = [
        Ellipse(side * (42 + 5 * column), 3 * column - 4.5 * row - 27, 2 / (1 + row), 2 / (1 + row), _AIR)
        for column in range(4)
        for row in (0, 1)
    ]
    return [bone, *cells]


def _thorax() -> list[Ellipse]:
    nodules = [
        Ellipse(sign * (70 + 12 * number), 18 - 22 * number, radius, radius, _SOFT)
        for sign, radii in ((-1, (8, 5, 3, 2)), (1, (6, 4, 2.5, 1.5)))
        for number, radius in enumerate(radii)
    ]
    return [
        Ellipse(0, 0, 185, 125, _FAT),
        Ellipse(0, 0, 172, 112, _SOFT),
        *_ribs(),
        Ellipse(-82, 2, 62, 86, _LUNG, -8),
        Ellipse(82, 2, 62, 86, _LUNG, 8),
        *nodules,
        Ellipse(18, 22, 48, 40, _SOFT, -25),
        Ellipse(22, 20, 26, 20, contents({"blood": 1.0}, iodine=8.0), -25),
        Ellipse(-8, 34, 13, 13, contents({"blood": 1.0}, iodine=8.0)),
        Ellipse(-46, -18, 17, 14, contents({"soft_tissue": 1.0}, gadolinium=3.0), 20),
        Ellipse(30, -44, 12, 12, contents({"blood": 1.0}, iodine=5.0)),
        Ellipse(0, -78, 24, 19, _BONE),
        Ellipse(0, -78, 21, 16, _SPONGY),
        Ellipse(0, -104, 17, 9, _BONE),
        Ellipse(0, -100, 8, 7, _WATER),
        Ellipse(0, 104, 22, 6, _BONE),
        Ellipse(0, 104, 20, 4, _SPONGY),
    ]


def _ribs() -> list[Ellipse]:
    """Cut ribs around the chest, turned along its wall."""
    places = [(158, 34, -78), (166, -22, -100), (142, -62, -128), (112, 80, -38), (98, -92, -152)]
    return [
        ribs
        for x, y, turn in places
        for side in (-1, 1)
        for ribs in (
            Ellipse(side * x, y, 13, 5, _BONE, side * turn),
            Ellipse(side * x, y, 11, 3.2, _SPONGY, side * turn),
        )
    ]
