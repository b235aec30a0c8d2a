"""Seq2Seq: any MRI sequence to any other, their ranking, what each alone shows (Han et al., arXiv 2302.00517)."""
