"""Preparation: from studies as they were acquired to arrays that a network reads, and back."""
