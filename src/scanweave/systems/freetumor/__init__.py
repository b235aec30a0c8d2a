"""FreeTumor: segmentors that learn from synthetic tumours in scans without labels (Wu et al. 2025)."""
