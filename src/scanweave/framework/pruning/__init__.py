"""Channels taken out of a run's network: which, by several rankings; how many, by the work that is left (Beta-Rank)."""
