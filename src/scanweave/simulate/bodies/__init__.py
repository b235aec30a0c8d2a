"""CT of the chest and upper abdomen with organs, findings and masks."""

from scanweave.simulate.bodies.cohort import simulate_bodies
from scanweave.simulate.bodies.settings import BodiesSettings
from scanweave.simulate.bodies.subject import simulate_body

__all__ = ["BodiesSettings", "simulate_bodies", "simulate_body"]
