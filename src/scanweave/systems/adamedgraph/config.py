"""Every setting of AdaMedGraph, and its presets. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from scanweave.engine.settings import Name, Settings
from scanweave.framework.options import VerbOptions
from scanweave.systems.adamedgraph.course_settings import CourseSettings

Share = Annotated[float, Field(gt=0, lt=1)]
Column = str | int


def _listed(value: Any) -> Any:
    """Take one name as a list of one: a command line cannot tell them apart."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class BoostingSettings(Settings):
    """Settings that `AdaMedGraphClassifier` is made with; the defaults are its own."""

    rounds: PositiveInt = Field(10, description="Weak learners, one graph each; T of the paper.")
    levels: tuple[Share, ...] = Field(
        (0.5, 0.25, 0.125, 0.0625),
        min_length=1,
        description="Candidate thresholds of a graph, as quantiles of how far two patients lie apart; the paper's.",
    )
    teleports: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.1, 0.5), min_length=1, description="Candidate shares of a patient's own values in APPNP; the paper's grid."
    )
    steps: PositiveInt = Field(5, description="Propagation steps K of APPNP; the paper's grid has 3 and 5.")
    hidden: PositiveInt = Field(16, description="Hidden units of a weak learner; the paper's have 256 or 512.")
    epochs: PositiveInt = Field(60, description="Full-batch updates of a weak learner; the paper's has 100.")
    learning_rate: float = Field(0.03, gt=0, description="Highest rate of Adam, falling as a cosine.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of Adam.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before both layers; the paper's is 0.1.")
    learner: Literal["appnp", "gcn", "sage", "gat"] = Field(
        "appnp", description="Weak learner; all but appnp need the group graph, and are trained one by one."
    )
    graphs: Literal["features", "features+none", "none"] = Field(
        "features", description="Candidates: a graph for each column; also no graph at all; or that alone, the control."
    )
    edge_features: tuple[Column, ...] | None = Field(None, description="Columns that may make graphs; none named: all.")
    node_features: tuple[Column, ...] | None = Field(None, description="Columns that learners read; none named: all.")
    categorical_features: tuple[Column, ...] | Literal["auto"] = Field(
        "auto", description="Columns that hold categories; auto: those whose values are not numbers."
    )
    thresholds: Literal["pairwise", "values"] = Field(
        "pairwise", description="Quantiles of differences between patients, or of the values, as published."
    )
    loss_weights: Literal["samme", "class"] = Field(
        "samme", description="Learners are trained on the boosting weights, or on class weights only, as published."
    )
    class_weight: Literal["balanced"] | dict[str | int, float] | None = Field(
        None, description="Weights of the classes; balanced, from training labels, as published."
    )
    shrinkage: float = Field(1.0, gt=0, le=1, description="Factor of a learner's weight; the paper's is 0.3.")
    shrink: Literal["whole", "first"] = Field(
        "whole", description="What shrinkage multiplies: ln((1-e)/e) + ln(K-1), or its first term, as published."
    )
    voting: Literal["soft", "votes", "logits", "running"] = Field(
        "soft",
        description="How learners are joined: weighted probabilities; weighted votes; weighted logits, as published; "
        "or the released code's running mean, in which early learners fade.",
    )
    reuse: bool = Field(False, description="Whether a column may make more than one graph; not in the paper.")
    scaling: Literal["standard", "minmax"] = Field(
        "standard", description="Of the values that learners read: to mean 0 and spread 1, or to [0, 1], as published."
    )
    validation_fraction: float = Field(
        0.2, ge=0, le=0.5, description="Share of the training patients that chooses the number of rounds; 0: none."
    )
    patience: PositiveInt = Field(3, description="Rounds without a better validation before boosting ends.")
    refit: bool = Field(True, description="Learn the chosen graphs again on all training patients, validation too.")
    calibrate: bool = Field(True, description="Fit one temperature to the probabilities, on validation patients.")
    transductive: bool = Field(
        False, description="New patients join the graph of the training patients, as in the paper, all at once."
    )
    finalists: PositiveInt | None = Field(
        16,
        description="Candidates of a round that are trained, those by which unseen answers of a learner without "
        "a graph gain most; none: all, as published.",
    )
    search_rows: PositiveInt = Field(
        2_000, description="Training patients on which the candidates of a round compete, at most; the winner has all."
    )
    random_state: int = Field(0, ge=0, description="Seed of weights, validation patients and dropout.")

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        graph = ("levels", "teleports", "steps", "thresholds", "edge_features", "reuse", "transductive")
        choice = ("finalists", "search_rows")  # of a single candidate
        found = dict.fromkeys((*graph, *choice), "with boosting.graphs none") if self.graphs == "none" else {}
        kept = ("patience", "refit", "calibrate")
        found |= {} if self.validation_fraction else dict.fromkeys(kept, "without boosting.validation_fraction")
        return found | ({"shrink": "with boosting.shrinkage 1"} if self.shrinkage == 1 else {})


class AdaMedGraphConfig(Settings):
    """Every setting of the system; the values of the preset `small` unless given."""

    preset: str = Field("small", description="Name of these values, kept for the record.")
    label: Name = Field("", description="What is predicted; none named: the only label of the cohort.")
    columns: Names = Field((), description="Columns to learn from; none named: all that can be used.")
    leave_out: Names = Field((), description="Columns not to learn from, such as what is known only later.")
    course: CourseSettings = CourseSettings()
    visits: Literal["first", "all"] = Field("first", description="Which studies of a patient are learnt from.")
    coverage: float = Field(0.9, gt=0.5, lt=1, description="Share of patients whose conformal set holds the truth.")
    boosting: BoostingSettings = BoostingSettings()

    def without_effect(self) -> dict[str, str]:
        """Return the fields that the others leave without effect, and why."""
        found = {"boosting.categorical_features": "here: the cohort says which columns hold categories"}
        return found | (dict.fromkeys(["label", "visits"], "with course.of") if self.course.of else {})


SMALL = AdaMedGraphConfig()
PAPER = AdaMedGraphConfig(
    preset="paper",
    boosting=BoostingSettings(
        hidden=256,
        learning_rate=1e-4,
        weight_decay=1e-4,
        dropout=0.1,
        teleports=(0.1,),
        thresholds="values",
        loss_weights="class",
        class_weight="balanced",
        shrinkage=0.3,
        shrink="first",
        voting="logits",
        scaling="minmax",
        refit=False,
        calibrate=False,
        finalists=None,
        epochs=100,
    ),
)
"""The published choices, without the faults of the released code."""

PRESETS = {"small": SMALL, "paper": PAPER}


class ExplainOptions(VerbOptions):
    """Options of `explain`."""

    pictures: int = Field(4, ge=0, description="Studies that get a page.")


OPTIONS: dict[str, type[VerbOptions]] = {"explain": ExplainOptions}
"""Options of each verb that has some."""
