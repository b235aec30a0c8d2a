"""Physics of the scanners: MR signal equations and Fourier sampling, CT geometry and projection, spectra and counts."""
