"""How good a result is, and how sure one can be of that: image quality, separation, resampling by patient, ranks."""
