from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanweave.errors import ScanweaveError
from scanweave.measures.input_checks import checked_names, checked_numbers, checked_truths


def test_names_are_numbered_as_they_appear():
    assert checked_names("patients", ["b", "a", "b", ("c", 1)], 4).tolist() == [0, 1, 0, 2]
    table = pd.Series(["b", "a", "b"], index=[7, 0, 2])
    assert checked_names("patients", table, 3).tolist() == [0, 1, 0]


@pytest.mark.parametrize("nobody", [None, np.nan, pd.NA, pd.NaT], ids=str)
def test_nobody_is_no_patient(nobody):
    with pytest.raises(ScanweaveError, match="patients: 2 rows have none"):
        checked_names("patients", ["a", nobody, nobody], 3)


@pytest.mark.parametrize("values", [["a", "b"], [[1], [2, 3]], [1, object()]], ids=["words", "ragged", "things"])
def test_what_is_no_number(values):
    with pytest.raises(ScanweaveError, match="scores: not all are numbers"):
        checked_numbers("scores", values)


@pytest.mark.parametrize("truths", [pd.array([True, None]), [1, None], [1, np.nan], ["yes", "no"]], ids=str)
def test_what_is_not_known_is_not_true_or_false(truths):
    with pytest.raises(ScanweaveError, match="other than 0 and 1"):
        checked_truths("positive", truths)


def test_names_that_cannot_be():
    with pytest.raises(ScanweaveError, match="2 for 3 rows"):
        checked_names("patients", ["a", "b"], 3)
    with pytest.raises(ScanweaveError, match="cannot be told"):
        checked_names("patients", [["a"], ["b"]], 2)
