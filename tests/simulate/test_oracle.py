import numpy as np
import pytest

from scanweave.simulate.oracle import differentiation, pairwise_oracle
from scanweave.simulate.settings import BrainSettings


def test_differentiation_by_hand():
    scores = np.array([[[np.nan, 3.0], [1.0, np.nan]]])  # 1 is well made from 0; 0 badly from 1
    np.testing.assert_allclose(differentiation(scores), [0.5, -0.5], rtol=1e-6)


def test_plain_regression_finds_the_planted_order():
    pytest.importorskip("nilearn.datasets")
    settings = BrainSettings(spacing=4.0, sequences=("t1c", "t2", "flair", "t2r"))
    c_d = pairwise_oracle(1, train=3, test=1, voxels=1000, settings=settings)["c_d"]
    assert min(c_d, key=c_d.get) == "t2r"
    assert max(c_d, key=c_d.get) == "t1c"
