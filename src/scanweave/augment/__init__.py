"""Crops and augmentation of training samples, each a pure function of a seed and an index."""
