from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from scanweave.errors import ScanweaveError
from scanweave.systems.seq2seq.config import RankOptions
from scanweave.systems.seq2seq.ranking import rank_pairs

NAMES = ("a", "b", "c")


def table(patients=8, seed=0, absent=0.0, names=NAMES):
    """Pairs whose quality depends on source and target, self-reconstructions far better, patients of two studies."""
    rng = np.random.default_rng(seed)
    rows = []
    for study, (i, source), (j, target) in itertools.product(range(2 * patients), enumerate(names), enumerate(names)):
        if source != target and rng.random() < absent:
            continue
        base = 9.0 if source == target else i - 2.0 * j
        rows.append(
            {
                "study": f"s{study}",
                "patient": f"p{study // 2}",
                "source": source,
                "target": target,
                "kind": "self" if source == target else "pair",
                "region": "brain",
                "psnr": 25 + base + rng.normal(),
                "ssim": 0.8 + base / 50 + rng.normal() / 50,
                "gmsd": np.nan if study == 3 else 0.1 - base / 100 + rng.normal() / 100,
            }
        )
    return pd.DataFrame(rows)


def by_loops(pairs, diagonal="exclude", normalise_by="rows", less=0, third="gmsd"):
    """The formulae of the paper, written as they stand."""
    kinds = ["pair"] if diagonal == "exclude" else ["pair", "self"]
    pairs = pairs[pairs["kind"].isin(kinds)]
    names = list(dict.fromkeys([*pairs["source"], *pairs["target"]]))
    weight = np.zeros((len(names), len(names)))
    for measure, sign in (("psnr", 1), ("ssim", 1), (third, -1)):
        means = {}
        for i, j in itertools.product(range(len(names)), repeat=2):
            of_pair = pairs[(pairs["source"] == names[i]) & (pairs["target"] == names[j])][measure].dropna()
            if len(of_pair):
                means[i, j] = of_pair.mean()
        pool = pairs[measure].dropna() if normalise_by == "rows" else np.array(list(means.values()))
        for i, j in itertools.product(range(len(names)), repeat=2):
            if (i, j) not in means or (i == j and diagonal != "include"):
                continue
            weight[i, j] += sign * (means[i, j] - np.mean(pool)) / (np.std(pool) + 1e-9)
    n = len(names) - less
    return names, weight.sum(axis=1) / n, -weight.sum(axis=0) / n


@pytest.mark.parametrize("diagonal", ["exclude", "in_norm", "include"])
@pytest.mark.parametrize("normalise_by", ["rows", "pairs"])
@pytest.mark.parametrize("divide_by", ["N", "N-1"])
def test_scores_are_those_of_the_formulae(diagonal, normalise_by, divide_by):
    pairs = table(absent=0.3)
    options = RankOptions(diagonal=diagonal, normalise_by=normalise_by, divide_by=divide_by, repeats=50)
    ranking = rank_pairs(pairs, options)
    names, generates, differs = by_loops(pairs, diagonal, normalise_by, less=int(divide_by == "N-1"))
    assert list(ranking.sequences) == names
    np.testing.assert_allclose([score.value for score in ranking.generates.scores], generates, atol=1e-9)
    np.testing.assert_allclose([score.value for score in ranking.differs.scores], differs, atol=1e-9)
    assert generates.sum() == pytest.approx(-differs.sum(), abs=1e-9)


def test_intervals_are_those_of_resampled_tables():
    pairs = table(patients=6, absent=0.2)
    options = RankOptions(repeats=15, seed=3)
    ranking = rank_pairs(pairs, options)
    from scanweave.measures.bootstrap import interval, patient_counts

    patients = list(dict.fromkeys(pairs[pairs["kind"] == "pair"]["patient"]))
    draws = []
    for counts in patient_counts(len(patients), 15, 3):
        taken = [pairs[pairs["patient"] == p] for p, count in zip(patients, counts, strict=True) for _ in range(count)]
        names, _, differs = by_loops(pd.concat(taken))
        draws.append([differs[names.index(name)] for name in ranking.sequences])
    for i, score in enumerate(ranking.differs.scores):
        expected = interval(score.value, np.array(draws)[:, i], len(patients))
        assert (score.low, score.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_table_worked_out_by_hand():
    """One row a pair: PSNR alone differs, 20 for a → b and 10 for b → a, so its z are +1 and −1."""
    rows = [
        {"source": "a", "target": "b", "psnr": 20.0},
        {"source": "b", "target": "a", "psnr": 10.0},
    ]
    common = {"study": "s", "patient": "p", "kind": "pair", "region": "brain", "ssim": 0.5, "gmsd": 0.1}
    ranking = rank_pairs(pd.DataFrame([row | common for row in rows]))
    np.testing.assert_allclose(ranking.weights, [[0, 1], [-1, 0]], atol=1e-8)
    assert [score.value for score in ranking.generates.scores] == pytest.approx([0.5, -0.5])
    assert [score.value for score in ranking.differs.scores] == pytest.approx([0.5, -0.5])  # b makes a badly
    assert ranking.lines[1] == "Hard to generate (C_d): a 1st, b 2nd (1 patient: too few for intervals)"


def test_a_clear_order_is_certain_and_told_in_words():
    ranking = rank_pairs(table(patients=20))
    assert ranking.lines == [
        "Generates the others (C_t): c 1st [1–1], b 2nd [2–2], a 3rd [3–3]",
        "Hard to generate (C_d): c 1st [1–1], b 2nd [2–2], a 3rd [3–3]",
    ]
    np.testing.assert_allclose(ranking.differs.ranks.probability, np.eye(3)[::-1], atol=0.01)


def test_unseen_pairs_count_nothing_and_are_named():
    pairs = table()
    seen = pairs[~((pairs["source"] == "a") & (pairs["target"] == "c"))]
    ranking = rank_pairs(seen)
    assert ranking.unseen == [("a", "c")]
    assert ranking.weights[0, 2] == 0


def test_a_pair_without_the_third_index_counts_by_the_others():
    rows = table(seed=3)
    rows["gmsd"] = rows["gmsd"].mask((rows["source"] == "a") & (rows["target"] == "b"))
    names, generates, _ = by_loops(rows)
    found = rank_pairs(rows)
    assert list(found.sequences) == names
    np.testing.assert_allclose([score.value for score in found.generates.scores], generates)


def test_lpips_takes_the_place_of_gmsd():
    pairs = table()
    pairs["lpips"] = np.random.default_rng(1).random(len(pairs))
    ranking = rank_pairs(pairs)
    assert ranking.third == "lpips"
    np.testing.assert_allclose([s.value for s in ranking.generates.scores], by_loops(pairs, third="lpips")[1])


def test_a_ranking_is_written_whole(tmp_path):
    one = table(patients=1)
    rank_pairs(one).save(tmp_path, {"part": "test"})
    record = json.loads((tmp_path / "ranking.json").read_text())  # strict JSON: unknown is null, not NaN
    assert record["C_d"][0]["low"] is None
    assert record["about"] == {"part": "test"}
    saved = pd.read_csv(tmp_path / "ranking.csv")
    assert list(saved["sequence"]) == ["c", "b", "a"]
    assert (tmp_path / "ranking.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ScanweaveError, match="no pair in region 'volume'"):
        rank_pairs(table()[lambda t: t["region"] != "volume"], RankOptions(region="volume"))
    with pytest.raises(ScanweaveError, match="include_self"):
        rank_pairs(table()[lambda t: t["kind"] == "pair"], RankOptions(diagonal="include"))
