"""Checks of a cohort, study by study."""
