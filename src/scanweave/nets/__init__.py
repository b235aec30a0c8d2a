"""Building blocks that two or more systems share."""
