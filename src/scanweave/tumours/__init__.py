"""Tumours drawn into scans: where they lie, what shape they have, how they look. Arrays only; no files, no networks."""
