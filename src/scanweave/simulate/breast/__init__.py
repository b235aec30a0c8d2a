"""Examinations of the breast by multi-sequence MRI whose truth is known."""

from scanweave.simulate.breast.cohort import simulate_breast
from scanweave.simulate.breast.settings import BreastSettings
from scanweave.simulate.breast.subject import simulate_subject

__all__ = ["BreastSettings", "simulate_breast", "simulate_subject"]
