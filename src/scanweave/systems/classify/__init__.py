"""Classify: tell classes or findings from films and volumes, whichever of the scans are there."""
