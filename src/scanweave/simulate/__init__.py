"""Cohorts whose truth is known."""

from scanweave.simulate.brain import simulate_subject
from scanweave.simulate.cohort import simulate_brain
from scanweave.simulate.settings import BrainSettings
from scanweave.simulate.subject import Subject

__all__ = ["BrainSettings", "Subject", "simulate_brain", "simulate_subject"]
