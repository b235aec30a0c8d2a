"""Find findings in films: boxes with scores, and what a film shows as a whole."""
