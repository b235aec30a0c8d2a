"""A hidden grouping drives the course, features are noisy: the column that shows the grouping is found, graphs help.

Patients come in groups of few. A group's latent state sets the chance of a bad course and shifts every feature a
little; each feature is mostly noise. One column tells the group, in no order of the states. Turned off, the column is
dealt out anew, and graphs must not help. Every method has the same number of trials, drawn from its grid and judged by
an inner cross-validation of training patients; AdaMedGraph's grid also holds thresholds finer than the published ones.
The bars are those of the issue; the simulator was made before any method was tuned on it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from adamedgraph_data import Question
from adamedgraph_models import CONTROL, OURS, Method, graph_methods, plain_methods
from adamedgraph_tuning import Budget, tuned
from common import Claim, benchmark_arguments, write_results
from jobs import run_jobs
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from scanweave.measures.comparisons import compare_means

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0, 1), "patients": 120, "test": 60, "epochs": 10, "trials": 1},
    "proof": {"seeds": tuple(range(100, 110)), "patients": 600, "test": 600, "epochs": 60, "trials": 10},
    "study": {"seeds": tuple(range(200, 230)), "patients": 2_000, "test": 2_000, "epochs": 60, "trials": 12},
}
SIZE, NOISE, FEATURES, INNER = 10, 2.0, 8, 3
LEVELS = ((0.5, 0.25, 0.125, 0.0625), (0.25, 0.0625, 0.0156, 0.004))
TREES = "XGBoost"


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    seeds = tier["seeds"]
    found = list(run_jobs(one_seed, [(seed,) for seed in seeds], arguments, tier))
    recovered, least = sum(one["first"] for one in found), 0.9 * len(seeds)
    name = "seeds in which the first graph is that of the planted column"
    claims = [Claim(name, recovered, np.nan, np.nan, f"of {len(seeds)}", len(seeds), least, "higher")]
    for control in ("MLP", TREES, CONTROL):
        for state, better in (("on", "higher"), ("off", "lower")):
            ours, theirs = ([one[state][name] for one in found] for name in (OURS, control))
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
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    budget = Budget(tier["trials"], INNER, seed)
    for state in ("on", "off"):
        matrix, course, place = simulate(tier["patients"] + tier["test"], seed, on=state == "on")
        patients = np.arange(len(course))
        question = Question(pd.DataFrame(matrix).add_prefix("x"), course, patients)
        train, test = patients[: tier["patients"]], patients[tier["patients"] :]
        with threadpool_limits(1):
            models = {
                name: tuned(model, grid, question, course, train, budget)
                for name, (model, grid) in competitors(seed, tier["epochs"]).items()
            }
            scores = {name: model.predict_proba(question.table.iloc[test])[:, 1] for name, model in models.items()}
        found[state] = {name: roc_auc_score(course[test], score) for name, score in scores.items()}
        if state == "on":
            found["first"] = models[OURS].ensemble_.learners[0].choice.feature == place
    return found


def competitors(seed: int, epochs: int) -> dict[str, Method]:
    """Return the methods to compare, by name, with the values that trials are drawn from."""
    plain, graphs = plain_methods(seed), graph_methods(seed, epochs)
    model, grid = graphs[OURS]
    return {
        OURS: (model, {**grid, "levels": LEVELS}),
        CONTROL: graphs[CONTROL],
        "MLP": plain["MLP"],
        TREES: plain[TREES],
    }


if __name__ == "__main__":
    main()
