"""Reports on simulated studies, from what was planted in them."""

from scanweave.simulate.reports.cohort import simulate_reports
from scanweave.simulate.reports.composition import Written, write_report
from scanweave.simulate.reports.settings import ReportSettings

__all__ = ["ReportSettings", "Written", "simulate_reports", "write_report"]
