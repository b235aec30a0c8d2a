import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.simulate.oracle import differentiation, pairwise_oracle, subset_oracle
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


def test_two_sources_make_what_needs_both():
    pytest.importorskip("nilearn.datasets")
    settings = BrainSettings(spacing=5.0, sequences=("t1", "t2", "mix"))
    subsets = [("t1",), ("t2",), ("t2", "t1")]
    scores = subset_oracle(1, subsets=subsets, learnt=(0, 1, 2), measured=(5, 9), voxels=1000, settings=settings)
    assert [(score.sources, score.target) for score in scores] == [
        (("t1",), "t2"),
        (("t1",), "mix"),
        (("t2",), "t1"),
        (("t2",), "mix"),
        (("t1", "t2"), "mix"),
    ]
    assert all(set(score.psnr) == set(score.ssim) == {5, 9} for score in scores)
    from_one, from_other, from_both = scores[1], scores[3], scores[4]
    for subject in (5, 9):
        assert from_both.psnr[subject] > 1 + max(from_one.psnr[subject], from_other.psnr[subject])


def test_all_subsets_and_the_pairs_among_them():
    pytest.importorskip("nilearn.datasets")
    settings = BrainSettings(spacing=8.0, sequences=("t1", "t2", "flair"), dce_frames=2)
    scores = subset_oracle(2, learnt=range(2), measured=range(2, 4), voxels=300, settings=settings)
    assert len(scores) == 9  # three pairs of each direction, and three from two
    pairs = pairwise_oracle(2, train=2, test=2, voxels=300, settings=settings)
    for score in scores:
        assert score.target not in score.sources
        mean = np.mean(list(score.psnr.values()))
        if len(score.sources) == 1:
            assert mean == pytest.approx(pairs["psnr"][score.sources[0]][score.target], abs=1e-3)
        else:
            assert mean == pytest.approx(pairs["psnr_from_all"][score.target], abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"subsets": [("t1", "t9")]}, "subsets: hold t9"),
        ({"subsets": [()]}, "subsets: hold an empty one"),
        ({"learnt": (0, 1), "measured": (1, 2)}, "share some"),
        ({"measured": ()}, "are none"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, reason):
    with pytest.raises(ScanweaveError, match=reason):
        subset_oracle(0, **arguments)
