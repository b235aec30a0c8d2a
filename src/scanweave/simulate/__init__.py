"""Cohorts whose truth is known."""

from scanweave.simulate.brain import Subject, simulate_subject
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.settings import BrainSettings

__all__ = ["BrainSettings", "Subject", "simulate_brain", "simulate_subject"]
