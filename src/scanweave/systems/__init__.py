"""The published systems, one folder each; `registry` names them without importing them."""
