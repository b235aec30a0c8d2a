"""MOME: one answer from whatever modalities a patient has."""
