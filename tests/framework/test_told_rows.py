"""A summary is told in a line an outcome."""

import math

from scanweave.framework.told_rows import outcome_lines

NAN = math.nan


def row(outcome, measure, value, low=NAN, high=NAN, control=NAN):
    return {
        "outcome": outcome,
        "measure": measure,
        "value": value,
        "low": low,
        "high": high,
        "patients": 12,
        "control": control,
    }


def test_a_line_an_outcome_with_what_is_looked_at_first():
    rows = [
        row("mass", "AUROC", 0.9, 0.8, 0.95, 0.5),
        row("mass", "log loss", 0.2),
        row("mass", "sensitivity at the operating point", 0.75),
        row("mass", "JAFROC", 0.5),
        row("mass", "JAFROC-1", 0.4),
        row("nodule", "Brier score", 0.1),
    ]
    assert list(outcome_lines(rows, "chance")) == [
        "mass (12 patients): AUROC 0.900 [0.800, 0.950] (chance 0.500), sensitivity at the operating point 0.750, "
        "JAFROC 0.500",
        "nodule (12 patients): Brier score 0.100",
        "2 more figures: summary.csv",
    ]
