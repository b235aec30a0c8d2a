"""Pages served on this machine alone: loopback, with a token."""
