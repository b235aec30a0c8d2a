"""CT of livers with tumours, distractors and healthy ones, over simulated bodies."""

from scanweave.simulate.tumours.cohort import simulate_tumours
from scanweave.simulate.tumours.settings import TumoursSettings
from scanweave.simulate.tumours.subject import simulate_tumour_scan

__all__ = ["TumoursSettings", "simulate_tumour_scan", "simulate_tumours"]
