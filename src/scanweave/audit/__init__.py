"""Audits of fitted runs, as tables, JSON and a page: stability of reconstructions, shortcuts of classifiers."""
