"""Best answers on the outcomes of a cohort from each set of modalities: `outcomes.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from scanweave.measures.classification import auroc
from scanweave.simulate.breast.bayes import Subset, posterior, shapley_values, subsets_of
from scanweave.simulate.breast.outcomes import FACTORS, MODALITIES, OUTCOMES, Outcome, present_modalities
from scanweave.simulate.breast.settings import BreastSettings

Array = NDArray[np.float64]

FILE = "outcomes.json"
_NONE = "none"


def describe_outcomes(settings: BreastSettings, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the coefficients of the outcomes, and the best answers from every set of modalities.

    Of each class of an outcome (of two, the second): its probability for each study by what the modalities of a set
    show, whether the study has them or not; the same by what it has (`acquired`); the AUROC of both over the cohort,
    class against rest, null where there is no patient of one side; and Shapley values of the log-odds by modality,
    which add up to the log-odds from all modalities less those from none.

    Args:
        settings: Of the cohort.
        facts: The truth of each study, by its name.
    """
    sequences = set(settings.sequences)
    modalities = [name for name, scans in MODALITIES.items() if name == "table" or not sequences.isdisjoint(scans)]
    factors = np.array([[truth["outcomes"]["factors"][name] for name in FACTORS] for truth in facts.values()])
    acquired = [present_modalities(truth) for truth in facts.values()]
    return {
        "format": 1,
        "factors": "independent, standard normal",
        "modalities": {
            name: {"scans": [scan for scan in MODALITIES[name] if scan in sequences], "shows": _shown_in(name)}
            for name in modalities
        },
        "outcomes": {outcome.name: outcome.facts() for outcome in OUTCOMES},
        "studies": list(facts),
        "acquired": ["+".join(subset) or _NONE for subset in acquired],
        "best": {
            outcome.name: _best(
                outcome,
                factors,
                [truth["outcomes"]["labels"][outcome.name] for truth in facts.values()],
                modalities,
                acquired,
            )
            for outcome in OUTCOMES
        },
    }


def _shown_in(modality: str) -> str | None:
    return dict(zip(MODALITIES, FACTORS, strict=False)).get(modality)


def _best(
    outcome: Outcome,
    factors: Array,
    labels: Sequence[int | str],
    modalities: Sequence[str],
    acquired: Sequence[Subset],
) -> dict[str, Any]:
    subsets = subsets_of(modalities)
    known = {subset: posterior(outcome, factors, subset) for subset in subsets}
    places = {subset: number for number, subset in enumerate(subsets)}
    own = np.stack([*known.values()])[[places[subset] for subset in acquired], np.arange(len(labels))]
    answers = {}
    for name in outcome.asked:
        number, positive = outcome.classes.index(name), np.array([label == name for label in labels])
        of_class = {subset: values[:, number] for subset, values in known.items()}
        values = shapley_values({subset: logit(chances) for subset, chances in of_class.items()}, modalities)
        named = {"+".join(subset) or _NONE: chances for subset, chances in of_class.items()}
        named["acquired"] = own[:, number]
        answers[str(name)] = {
            "probability": {subset: chances.tolist() for subset, chances in named.items()},
            "auroc": {subset: _auroc(positive, chances) for subset, chances in named.items()},
            "shapley": {modality: value.tolist() for modality, value in values.items()},
        }
    return answers


def _auroc(positive: NDArray[np.bool_], chances: Array) -> float | None:
    return None if positive.all() or not positive.any() else auroc(positive, chances)
