"""Check that more data make a better image, and not only the amount of data that a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Generator

from scanweave.errors import ScanweaveError
from scanweave.measures.batches import pieces, psnr, relative_error
from scanweave.measures.stability.audit_setup import Setup


def measure_views(setup: Setup, factors: Sequence[float], *, seed: int = 0, batch: int = 8) -> pd.DataFrame:
    """Measure and reconstruct with other amounts of data than the methods were made for.

    Args:
        setup: Methods and images, with `more`.
        factors: Amounts of data, in those of the run's own scan.
        seed: Of the noise.
        batch: Images at once.

    Returns:
        One row an image, method and factor: `psnr` [dB], `error`.

    Raises:
        ScanweaveError: The setup has no other amounts of data.
    """
    if setup.more is None:
        raise ScanweaveError("views", "this run has no way to measure more data", "Leave that part of the audit out")
    tables = []
    for factor in factors:
        methods, measure = setup.more(factor)
        measured = measure(setup.truth, Generator().manual_seed(seed))
        for name, method in methods.items():
            with torch.no_grad():
                made = torch.cat([method(part) for part in pieces(measured, batch)])
            table = pd.DataFrame(
                {
                    "psnr": psnr(made, setup.truth, setup.data_range).double().cpu().numpy(),
                    "error": relative_error(made, setup.truth).double().cpu().numpy(),
                }
            )
            tables.append(table.assign(method=name, factor=factor, image=range(len(table)), patient=setup.patients))
    return pd.concat(tables, ignore_index=True)


def largest_drop(table: pd.DataFrame, method: str) -> float:
    """Return the largest fall of the mean PSNR [dB] from one amount of data to the next larger; 0: it never falls."""
    means = table[table["method"] == method].groupby("factor")["psnr"].mean().sort_index().to_numpy()
    return float(max(0.0, -np.diff(means).min())) if len(means) > 1 else 0.0
