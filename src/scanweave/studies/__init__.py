"""Studies: what was acquired of a patient, how it is found, checked and made ready."""
