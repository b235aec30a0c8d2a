"""Audits of fitted runs: everything that `measures.stability` can tell of one, as tables, JSON and a report page."""
