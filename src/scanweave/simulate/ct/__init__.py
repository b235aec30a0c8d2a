"""Slices whose materials are known, and what a CT scanner measures of them."""

from scanweave.simulate.ct.acquisition import acquire
from scanweave.simulate.ct.anatomy import axial_map
from scanweave.simulate.ct.bodies import BodySettings, draw_body
from scanweave.simulate.ct.cohort import simulate_ct
from scanweave.simulate.ct.maps import MaterialMap
from scanweave.simulate.ct.phantoms import head_phantom, thorax_phantom
from scanweave.simulate.ct.plane import Plane
from scanweave.simulate.ct.settings import CtSettings

__all__ = [
    "BodySettings",
    "CtSettings",
    "MaterialMap",
    "Plane",
    "acquire",
    "axial_map",
    "draw_body",
    "head_phantom",
    "simulate_ct",
    "thorax_phantom",
]
