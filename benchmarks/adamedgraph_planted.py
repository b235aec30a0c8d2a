"""A hidden grouping drives the course, features are noisy: the column that shows the grouping is found, graphs help.

Patients come in groups of few. A group's latent state sets the chance of a bad course and shifts every feature a
little; each feature is mostly noise. One column tells the group, in no order of the states. Turned off, the column is
dealt out anew, and graphs must not help. The bars are those of the issue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Claim, benchmark_arguments, one_thread_each, write_results
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scanweave.measures.comparisons import compare_means
from scanweave.systems.adamedgraph.classifier import AdaMedGraphClassifier

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0, 1), "patients": 120, "test": 60, "epochs": 10},
    "proof": {"seeds": tuple(range(10)), "patients": 600, "test": 600, "epochs": 60},
    "study": {"seeds": tuple(range(30)), "patients": 2_000, "test": 2_000, "epochs": 60},
}
SIZE, NOISE, FEATURES = 10, 2.0, 8
LEVELS = (0.25, 0.0625, 0.0156, 0.004)


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    seeds = tier["seeds"]
    with one_thread_each(len(seeds)) as pool:
        found = list(pool.map(one_seed, seeds, [tier] * len(seeds)))
    recovered = sum(one["first"] for one in found)
    claims = [
        Claim(
            "seeds in which the first graph is that of the planted column",
            recovered,
            np.nan,
            np.nan,
            f"of {len(seeds)}",
            len(seeds),
            0.9 * len(seeds),
            "higher",
        )
    ]
    for control in ("MLP", "boosted trees", "boosted MLP"):
        for state, better in (("on", "higher"), ("off", "lower")):
            ours, theirs = ([one[state][name] for one in found] for name in ("graphs", control))
            gain = compare_means(ours, theirs).difference
            shown = {"graphs": float(np.mean(ours)), control: float(np.mean(theirs))}
            name = f"grouping {state}: AUROC of graphs over {control}"
            claims.append(Claim(name, gain.value, gain.low, gain.high, "", gain.n, None, "higher", shown))
            claims.append(
                Claim(f"{name}: lower end of the interval", gain.low, np.nan, np.nan, "", gain.n, 0.0, better)
            )
    write_results("adamedgraph_planted", arguments, seeds, claims)


def simulate(patients: int, seed: int, *, on: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Patients `(n, FEATURES + 1)`, their course, and the place of the planted column."""
    rng = np.random.default_rng([seed, 1])
    groups = patients // SIZE
    state = rng.normal(size=groups)
    group = rng.integers(groups, size=patients)
    course = (rng.random(patients) < 1 / (1 + np.exp(-2.5 * state[group]))).astype(int)
    features = state[group][:, None] + rng.normal(scale=NOISE, size=(patients, FEATURES))
    shown = group if on else rng.permutation(group)
    column = shown + rng.uniform(-0.2, 0.2, size=patients)
    place = int(rng.integers(FEATURES + 1))
    return np.insert(features, place, column, axis=1), course, place


def one_seed(seed: int, tier: dict[str, Any]) -> dict[str, Any]:
    """AUROC on test patients of the same groups with the grouping on and off, and whether it was found."""
    found: dict[str, Any] = {}
    for state in ("on", "off"):
        table, course, place = simulate(tier["patients"] + tier["test"], seed, on=state == "on")
        train, test = np.arange(len(course)) < tier["patients"], np.arange(len(course)) >= tier["patients"]
        options = {"random_state": seed, "epochs": tier["epochs"], "levels": LEVELS}
        models = {
            "graphs": AdaMedGraphClassifier(**options),
            "boosted MLP": AdaMedGraphClassifier(**options, graphs="none"),
            "MLP": make_pipeline(StandardScaler(), MLPClassifier((32,), alpha=1.0, max_iter=300, random_state=seed)),
            "boosted trees": HistGradientBoostingClassifier(learning_rate=0.05, max_depth=2, random_state=seed),
        }
        scores = {n: m.fit(table[train], course[train]).predict_proba(table[test])[:, 1] for n, m in models.items()}
        found[state] = {name: roc_auc_score(course[test], score) for name, score in scores.items()}
        if state == "on":
            found["first"] = models["graphs"].ensemble_.learners[0].choice.feature == place
    return found


if __name__ == "__main__":
    main()
