"""ACID: a reconstruction network kept true to its data by iteration (Wu et al., arXiv 2008.01846)."""
