"""MiM: an encoder learnt from volumes without labels, by masks within masks."""
