"""ULTRA: clean energy-bin images from noisy ones, all bins together (Wu et al., Neural Networks 2021)."""
