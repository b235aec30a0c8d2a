from collections import Counter

import pytest

from scanweave.simulate.missing import PATTERNS, absent_sequences
from scanweave.simulate.settings import MAIN, SEQUENCES, BrainSettings


def test_fourteen_patterns_are_dealt_evenly():
    settings = BrainSettings(protocol="brats14", sequences=MAIN)
    dealt = Counter(absent_sequences(settings, 3, index) for index in range(14 * 20 + 5))
    assert len(dealt) == len(PATTERNS) == 14
    assert max(dealt.values()) - min(dealt.values()) <= 1
    assert all(0 < len(absent) < 4 for absent in dealt)


def test_fourteen_patterns_leave_other_sequences_alone():
    settings = BrainSettings(protocol="brats14", dce_frames=2)
    assert all(set(absent_sequences(settings, 3, index)) < set(MAIN) for index in range(28))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_random_share_is_met(share):
    settings = BrainSettings(protocol="random", missing=share)
    removed = [len(absent_sequences(settings, 1, index)) for index in range(1500)]
    assert sum(removed) / (1500 * len(SEQUENCES)) == pytest.approx(share, abs=0.03)


def test_one_sequence_is_always_kept():
    settings = BrainSettings(protocol="random", missing=1.0)
    kept = Counter(set(SEQUENCES).difference(absent_sequences(settings, 1, index)).pop() for index in range(300))
    assert set(kept) == set(SEQUENCES)


def test_without_protocol_nothing_is_absent():
    assert absent_sequences(BrainSettings(), 0, 0) == ()
