"""Spectral CT: materials, spectra, detectors, photon counts and decomposition into materials."""
