"""Segment: outline structures in volumes and films, configured from the cohort by nnU-Net's rules."""
