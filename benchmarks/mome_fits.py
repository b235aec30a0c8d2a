"""One seed of the benchmark of MOME: its cohorts, its fits, and what each answers from every subset of modalities."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mome_baselines import BASELINES, Baseline, Trained
from numpy.typing import NDArray
from scipy.special import logit
from torch import Tensor, nn

import scanweave as sw
from scanweave.engine.loop import train
from scanweave.engine.run import Run
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.loss import AnswerLoss
from scanweave.framework.classification.validation import validated
from scanweave.framework.network_task import seeded_network
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import Splits, write_splits
from scanweave.systems.mome.config import MomeConfig
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.planning import MomePlan
from scanweave.systems.mome.subsets import log_odds, mask_of, prior_log_odds, subset_logits, subset_names
from scanweave.systems.mome.task import Known, MomeTask

Array = NDArray[np.float64]

LABEL, SCANS, SHAM = "malignancy", ("dce", "dwi", "t2", "fst1"), "fst1"
VARIABLES = ("marker_u_per_ml", "height_cm")
MODALITIES = (*SCANS, "table")
"""In the order of the bits of a subset."""
BREASTS: dict[str, Any] = {"outcomes": True, "sequences": SCANS, "diameters": (10.0, 28.0)}
TESTED = 10_000
"""Added to a seed for its test patients, who are another cohort: none of them lacks anything."""
MOME, JOINT = "MOME", "joint attention, no experts"
SETTINGS: dict[str, dict[str, Any]] = {
    MOME: {},
    JOINT: {"network.sparse_layers": 0, "network.soft_layers": 5, "network.experts": 0, "network.width": 100},
    "experts by modality alone": {"network.experts": 0},
    "soft experts alone": {"network.sparse_layers": 0, "network.soft_layers": 5},
    "MOME, absent ones as zeros": {"network.absent": "zeros"},
    "MOME, trained on what there is": {"sampling.drop": 0.0},
}
"""What each fit of the system changes in its preset `small`."""
AUXILIARY = 0.5
"""Weight of the auxiliary answers of a baseline that has some."""


class Answers(NamedTuple):
    """Answers of one arm for the test patients of one seed.

    Attributes:
        arm: Its name.
        seed: Of cohort and fit.
        values: Log-odds of malignancy by subset of `MODALITIES` `(N, 2^5)`; of none the prevalence in training.
        positive: The truth `(N,)`.
        parameters: Of the network.
    """

    arm: str
    seed: int
    values: Array
    positive: NDArray[np.bool_]
    parameters: int


class Cohorts(NamedTuple):
    """Patients to learn from, of whom scans and variables are absent at random, and complete ones to test on."""

    learnt: Cohort
    tested: Cohort


def simulate(folder: Path, seed: int, tier: Mapping[str, Any]) -> Cohorts:
    """Simulate the cohorts of a seed; of those to learn from the first ones validate."""
    shape = BREASTS | {"spacing": tier["spacing"], "crop": tier["crop"]}
    learnt = sw.simulate_breast(
        folder / "learnt", subjects=tier["learnt"], seed=seed, protocol="random", missing=tier["missing"], **shape
    )
    fold = {name: 1 if number < tier["validated"] else 2 for number, name in enumerate(learnt.patients)}
    write_splits(learnt.folder, Splits(3, True, seed, fold))  # fold 0, that of the test, stays empty
    return Cohorts(learnt, sw.simulate_breast(folder / "tested", subjects=tier["tested"], seed=seed + TESTED, **shape))


def fit(arm: str, cohorts: Cohorts, run: Path, seed: int, tier: Mapping[str, Any]) -> Any:
    """Fit MOME or a variant of it to a cohort."""
    steps = tier["steps"]
    told = {"scans": SCANS, "variables": VARIABLES, "labels": (LABEL,)}
    training = {"steps": steps, "seed": seed, "workers": 0, "device": "cpu", "validate_every": max(1, steps // 10)}
    config = told | {f"training.{name}": value for name, value in training.items()} | SETTINGS[arm]
    return sw.fit("mome", cohorts.learnt, run, preset="small", config=config, say=lambda _: None)


def tell(arm: str, seed: int, diagnoser: Diagnoser, inputs: Sequence[StudyInput], tested: Cohort) -> Answers:
    """Return what a network tells of the test patients from every subset."""
    plan = diagnoser.plan
    logits = np.stack([subset_logits(diagnoser, one) for one in inputs])
    values = log_odds(logits, plan)[..., 1]
    values[:, 0] = prior_log_odds(plan)[1]
    parameters = sum(one.numel() for one in diagnoser.network.parameters())
    return Answers(arm, seed, reordered(values, plan), truth_of(tested), parameters)


def reordered(values: Array, plan: MomePlan) -> Array:
    """Return values by subset of the plan's modalities `(N, 2^M)` by subset of `MODALITIES`."""
    order = [mask_of(names, plan.modalities) for names in ((), *subset_names(MODALITIES))]
    places = [mask_of(names, MODALITIES) for names in ((), *subset_names(MODALITIES))]
    made = np.empty_like(values)
    made[:, places] = values[:, order]
    return made


def truth_of(cohort: Cohort) -> NDArray[np.bool_]:
    """Return who has the disease `(N,)`."""
    return np.asarray(cohort.frame[f"label:{LABEL}"].astype(int) == 1)


def ceiling(seed: int, tested: Cohort) -> Answers:
    """Return the best possible log-odds of the test patients from every subset, by the simulator."""
    about = json.loads((tested.folder / "outcomes.json").read_text(encoding="utf-8"))
    if about["studies"] != list(tested.studies):
        raise ScanweaveError(
            tested.folder, "outcomes.json tells of other patients than the cohort has", "Simulate it anew"
        )
    best = about["best"][LABEL]["1"]["probability"]
    known = list(about["modalities"])
    values = np.empty((len(tested), 2 ** len(MODALITIES)))
    for names in ((), *subset_names(MODALITIES)):
        shown = {"sham" if name == SHAM else name for name in names}
        chances = best["+".join(name for name in known if name in shown) or "none"]
        values[:, mask_of(names, MODALITIES)] = logit(np.array(chances))
    return Answers("ceiling", seed, values, truth_of(tested), 0)


class Held(NamedTuple):
    """A study to learn from that is in memory, in the place of a `KnownStudy`."""

    id: str
    input: StudyInput

    def read(self, plan: MomePlan, config: MomeConfig) -> StudyInput:
        """Return it."""
        return self.input


class BaselineLoss(nn.Module):
    """Cross-entropy of a baseline's answers, and what else it is trained by."""

    def __init__(self, network: Baseline, answers: AnswerLoss) -> None:
        super().__init__()
        self.network, self.answers = network, answers

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`."""
        made: Trained = self.network.trained(batch)
        loss = self.answers(made.logits, batch["answer"], batch["known"])
        if made.more is not None:
            loss = loss + made.more
        if made.helpers is not None:
            logits, rows = made.helpers
            loss = loss + AUXILIARY * self.answers(logits, batch["answer"][rows], batch["known"][rows])
        return {"loss": loss}


class BaselineDiagnoser(Diagnoser):
    """A baseline ready to answer, on the processor."""

    def batch(self, studies: Sequence[StudyInput]) -> dict[str, Tensor]:
        """Return studies as a batch."""
        return batch_of(studies, self.plan, self.settings)


class BaselineTask(MomeTask):
    """MOME's task with another network: the same samples, validation and settings."""

    def __init__(
        self, kind: type[Baseline], config: MomeConfig, plan: MomePlan, training: Known, validation: Known
    ) -> None:
        super().__init__(config, plan, training, validation)
        self.network = seeded_network(config, lambda: kind(plan))
        self.objective = BaselineLoss(self.network, AnswerLoss(plan.kind, plan.shares, config.loss))

    def validate(self, network: nn.Module) -> Mapping[str, float] | None:
        """Return log loss and AUROC of the validation patients."""
        studies, answers = self.validation
        diagnoser = BaselineDiagnoser(network, self.plan, self.config.input)
        return validated(answers, diagnoser.probabilities(study.input for study in studies), self.plan)


def baselines(
    fitted: Any, seed: int, cohorts: Cohorts, inputs: Sequence[StudyInput], folder: Path
) -> Iterator[Answers]:
    """Fit the baselines with plan, preparation and settings of a fitted run, and yield what they tell."""
    plan, config = fitted.plan, fitted.config
    training, validation = (held(fitted, cohorts.learnt.part(part)) for part in ("train", "validation"))
    for name, kind in BASELINES.items():
        task = BaselineTask(kind, config, plan, training, validation)
        with Run.start(folder / kind.__name__, name, config.model_dump(mode="json")) as run:
            train(task, config.training, run)
        network = with_weights(task.network, run.weights)
        yield tell(name, seed, BaselineDiagnoser(network, plan, config.input), inputs, cohorts.tested)


def held(fitted: Any, part: Cohort) -> Known:
    """Return the studies of a part in memory, and their answers; the protocol leaves a scan in each."""
    studies = list(part)
    answers = np.array([[float(study.labels[LABEL])] for study in studies])
    return [Held(study.id, fitted.input(study)) for study in studies], answers
