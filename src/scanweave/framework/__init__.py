"""What every system shares: the fit to a cohort, the opening of a run, the trial on studies, the page of a run."""
