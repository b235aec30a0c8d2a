"""Measures of results and of their certainty: image quality, separation, resampling by patient, ranks."""
