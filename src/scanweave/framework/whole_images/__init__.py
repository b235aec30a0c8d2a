"""Films and volumes that a network sees whole: how large its input is, and how a study becomes it."""
