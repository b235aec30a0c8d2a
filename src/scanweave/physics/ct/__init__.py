"""X-ray computed tomography: geometries, the Joseph projector, filtered backprojection (group `[ct]`)."""
