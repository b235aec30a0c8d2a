"""MOME as a user meets it: fit, predict, evaluate, explain, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.saved_encoder import FILE as ENCODER
from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.engine.settings import chosen_names
from scanweave.engine.weight_sources import origin_of
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.files import is_plain
from scanweave.framework.classification import operating_points
from scanweave.framework.classification.answer_plan import answer_fields
from scanweave.framework.classification.presence import telling_presence
from scanweave.framework.classification.question import Question, ask, known_rows
from scanweave.framework.cohort_fit import CohortFit, ensure_splits
from scanweave.framework.run_page import RunPage
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans, prepare_parts, scan_columns
from scanweave.framework.system import Material, System
from scanweave.framework.table_columns import is_numeric, plain_column
from scanweave.framework.trial import Trial
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.studies.splits import Part
from scanweave.studies.tables.schema import read_schema
from scanweave.systems.mome import evaluation, explanation, report
from scanweave.systems.mome.config import OPTIONS, PRESETS, EvaluateOptions, ExplainOptions, MomeConfig
from scanweave.systems.mome.fitted import FittedMome
from scanweave.systems.mome.inference import Diagnoser
from scanweave.systems.mome.network import MomeNetwork, trained_parts
from scanweave.systems.mome.planning import (
    FILE,
    TABLE,
    ImagePlan,
    MomePlan,
    VariablePlan,
    plan_image,
    plan_variables,
    variable_values,
    with_encoder,
)
from scanweave.systems.mome.samples import KnownStudy
from scanweave.systems.mome.task import Known, MomeTask
from scanweave.wording import listed, studies

Say = Callable[[str], None]
NONE = "none"
"""Name of the variables by which a user says that the table is not read."""
MOST_CATEGORIES = 20
"""Values from which a column of text, most of whose values occur once, is no variable."""
ENCODERS = "encoders"
"""Part of the network that a pre-training run fills."""
MEAN_STUDIES = 64
"""Training studies that the mean images are of, at most."""


class Mome(FittedMome, System[MomeConfig]):
    """A fitted MOME with its verbs."""

    name: ClassVar[str] = "mome"
    options = OPTIONS

    @classmethod
    def material(cls, cohort: Cohort, config: MomeConfig, fold: int, say: Say) -> Material:
        """Choose the studies with any of the modalities of which any of the labels is known."""
        scans, variables = chosen_scans(cohort, config.scans), _chosen_variables(cohort, config, say)
        _refuse_random_layers(config)
        usual = PRESETS.get(config.preset, MomeConfig()).sampling.drop
        if config.sampling.drop not in (0, usual) and len(scans) + bool(variables) == 1:
            reason = f"has no effect: {scans[0]} is the only modality, and one is always kept"
            raise ScanweaveError("sampling.drop", reason, "Leave it out")
        ensure_splits(cohort, say)
        question = ask(cohort, cohort.part("train", fold), config)
        columns = [*scan_columns(scans), *(f"table:{name}" for name in variables)]
        labelled = cohort.frame[[f"label:{name}" for name in question.labels]].notna().any(axis=1)
        holding = cohort.where(cohort.frame[columns].notna().any(axis=1) & labelled)
        if len(holding) < len(cohort):
            say(f"left out: {studies(len(cohort) - len(holding))} without any modality, or of which no label is known")
        return Material(holding, scan_columns(scans))

    @classmethod
    def settled(cls, material: Material, config: MomeConfig, run: str | Path, fold: int, say: Say) -> MomeConfig:
        """Begin the tokens of images from the encoder of a pre-training run, where the start is one.

        Raises:
            ScanweaveError: The settings keep the layers after it as they are drawn, or paste images.
        """
        if pretrained_encoder(config) is None:
            return config
        if (config.start.part, config.start.prefix) not in ((ENCODERS, f"{ENCODERS}."), _usual_start()):
            reason = "has no effect: the run that the fit begins from brings an encoder alone"
            raise ScanweaveError("start.part", reason, "Leave start.part and start.prefix out")
        if config.network.backbone == "frozen":
            reason = "would keep attention and feed-forward layers as they are drawn: the run brings an encoder alone"
            raise ScanweaveError("network.backbone frozen", reason, "Say --network.backbone trained")
        if config.input.fit == "paste":
            reason = "the encoder of a pre-training run sees whole inputs"
            raise ScanweaveError("input.fit paste", reason, "Say --input.fit resize")
        return config.model_copy(
            update={"start": config.start.model_copy(update={"part": ENCODERS, "prefix": f"{ENCODERS}."})}
        )

    @classmethod
    def learn(cls, fit: CohortFit[MomeConfig]) -> None:
        """Learn to tell classes or findings."""
        config, scans = fit.config, chosen_scans(fit.cohort, fit.config.scans)
        with fit.one_first():
            question = ask(fit.cohort, fit.cohort.part("train", fit.fold), config)
            cohort, series = fit.sound_with_series()
            seed = config.training.seed
            parts = prepare_parts(
                fit, cohort, scans, config.preparation, seed, standard=True, own_grids=True, series=series
            )
            variables = _chosen_variables(fit.cohort, config, lambda line: None)
            plan = fit.plan(
                MomePlan.load, lambda: _plan(config, parts, question, cohort.part("train", fit.fold), variables), FILE
            )
            training, validation = (
                _known(cohort.part(part, fit.fold), scanned, question, plan.variables)
                for part, scanned in _named(parts)
            )
            if not training[0]:
                raise ScanweaveError(fit.cohort.folder, "no training study has a known label", "Name another label")
            fit.note_cohort(scans)
        task = MomeTask(config, plan, training, validation)
        if config.network.absent == "mean":
            _learn_means(task.network, training[0], plan, config)
        fit.say(_trained_words(task.network))
        fit.train(task)
        with fit.one_first():
            shares = partial(_validation_shares, fit, task, plan, validation)
            names = [study.id for study in validation[0]]
            operating_points.freeze_points(fit, plan, names, validation[1], shares)

    @classmethod
    def is_done(cls, run: Run) -> bool:
        """Tell whether the network is trained and its operating points are chosen."""
        return run.finished and (run.folder / operating_points.FILE).is_file()

    def measure(self, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
        """Measure answers from all modalities and from every subset; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, trial, options)

    def account(self, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
        """Measure what each modality gives, and map where in it; see `explanation.explain`."""
        return explanation.explain(self, trial, options)

    def write_page(self, page: RunPage, path: str | Path | None) -> Path:
        """Write the page of the run; see `report.write`."""
        return report.write(self, page, path)


def _usual_start() -> tuple[str, str]:
    """Return the part that begins from other weights unless a user says else, and its prefix."""
    usual = MomeConfig().start
    return usual.part, usual.prefix


def pretrained_encoder(config: MomeConfig) -> SavedEncoder | None:
    """Return the encoder of the run that the fit begins from; None where it begins from none that offers one."""
    origin = origin_of(config.start.source) if config.start.begins else None
    if origin is None or not is_plain(origin.folder / ENCODER):
        return None
    return SavedEncoder.load(origin.folder / ENCODER)


def _refuse_random_layers(config: MomeConfig) -> None:
    """Refuse to train beside attention layers that are neither trained nor begun from anything."""
    if config.network.backbone == "frozen" and config.start.source in ("", "none"):
        reason = "would keep attention and feed-forward layers as they are drawn, which know nothing"
        raise ScanweaveError("network.backbone frozen", reason, "Name their weights by --from, or say trained")


def _chosen_variables(cohort: Cohort, config: MomeConfig, say: Say) -> list[str]:
    """The variables of the table to read: those that are asked for, else all but dates and the time of a visit."""
    there = cohort.names("table")
    if config.variables == (NONE,):
        return []
    asked = chosen_names(config.variables, there, "variables")
    if asked:
        return asked
    schema = read_schema(cohort.folder)
    time = schema.time.name if schema and schema.time else None
    dates = [name for name in there if _is_date(cohort.frame[f"table:{name}"])]
    if dates:
        say(f"variables left out, dates: {', '.join(dates)}")
    kept = [name for name in there if name not in (*dates, time)]
    names = [name for name in kept if _is_name(cohort.frame[f"table:{name}"])]
    if names:
        say(f"variables left out, of as many texts as studies: {', '.join(names)}")
    return [name for name in kept if name not in names]


def _is_name(column: pd.Series) -> bool:
    """Tell whether a column of text names its rows rather than sorting them."""
    plain = plain_column(column)
    known = int(plain.notna().sum())
    return not is_numeric(plain) and known > MOST_CATEGORIES and plain.nunique() > known / 2


def _is_date(column: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(plain_column(column).dtype)


def _named(parts: PreparedParts) -> list[tuple[Part, list[CachedStudy]]]:
    return [("train", parts.training), ("validation", parts.validation)]


def _known(
    part: Cohort, scanned: Sequence[CachedStudy], question: Question, variables: Sequence[VariablePlan]
) -> Known:
    """Return the studies of a part of which an answer and a modality are known, and the answers."""
    by_name = {study.id: study for study in scanned}
    answers = question.answers(part.frame)
    table = pd.DataFrame(
        {v.name: plain_column(part.frame[f"table:{v.name}"]) for v in variables if f"table:{v.name}" in part.frame}
    )
    rows = table.to_dict("records") if len(table.columns) else [{}] * len(part)
    found = [
        KnownStudy(name, by_name.get(name), variable_values(row, variables))
        for name, row in zip(part.studies, rows, strict=True)
    ]
    has_any = np.array([study.scans is not None or bool((~np.isnan(study.values)).any()) for study in found], bool)
    there = known_rows(answers) & has_any
    return [study for study, known in zip(found, there, strict=True) if known], answers[there]


def _plan(
    config: MomeConfig, parts: PreparedParts, question: Question, training: Cohort, variables: Sequence[str]
) -> MomePlan:
    """Return the question and the modalities that the training studies settle."""
    images, reasons = [], []
    for name in parts.plan.scans:
        frames = [study.frames[name] for study in parts.training if name in study.frames]
        spacing = parts.plan.spacing_of(name) or frames[0].working.spacing
        series = parts.plan.series.get(name)
        image, why = plan_image(name, [frame.shape for frame in frames], spacing, series, config.input)
        images.append(image)
        reasons.append(why)
    encoder = pretrained_encoder(config)
    if encoder is not None:
        images = list(with_encoder(images, encoder))
        told = [image.name for image in images if image.encoder is not None]
        reasons.append(f"tokens of {listed(told)}: by the encoder of the pre-training run, {encoder.name}")
    table = pd.DataFrame({name: plain_column(training.frame[f"table:{name}"]) for name in variables})
    planned, why_variables = plan_variables(table, list(variables))
    fields, asked = answer_fields(question, question.answers(training.frame), config.loss)
    return MomePlan(
        **fields,
        cautions=telling_presence(training.frame, _columns_of(images, planned), question),
        images=tuple(images),
        variables=planned,
        frames_as=config.input.series,
        reasons=(asked, *reasons, *why_variables),
    )


def _columns_of(images: Sequence[ImagePlan], variables: Sequence[VariablePlan]) -> dict[str, list[str]]:
    """The columns of each modality, of the table as a whole and of each of its variables."""
    columns = [f"table:{variable.name}" for variable in variables]
    table = {TABLE: columns, **{f"variable {name.partition(':')[2]}": [name] for name in columns}} if columns else {}
    return {**{image.name: [f"scan:{image.name}"] for image in images}, **table}


def _learn_means(network: MomeNetwork, known: Sequence[KnownStudy], plan: MomePlan, config: MomeConfig) -> None:
    """Take over the mean image of each modality of training studies, as what stands for an absent one."""
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    for study in known[:MEAN_STUDIES]:
        for name, shown in study.read(plan, config).images.items():
            sums[name] = sums[name] + shown if name in sums else shown.clone()
            counts[name] = counts.get(name, 0) + 1
    for number, image in enumerate(plan.images):
        if image.name in sums:
            getattr(network, f"mean_{number}").copy_(sums[image.name] / counts[image.name])


def _trained_words(network: MomeNetwork) -> str:
    parts = trained_parts(network)
    trained, every = (sum(numbers) for numbers in zip(*parts.values(), strict=True))
    each = ", ".join(f"{name} {some:,}" for name, (some, _) in parts.items() if some)
    return f"trained: {trained:,} of {every:,} parameters: {each}"


def _validation_shares(
    fit: CohortFit[MomeConfig], task: MomeTask, plan: MomePlan, validation: Known
) -> NDArray[np.float64]:
    """Return the probabilities of the validation studies by the weights that were kept."""
    network = with_weights(task.network.cpu(), fit.run.weights)
    diagnoser = Diagnoser(network, plan, fit.config.input)
    return diagnoser.probabilities(study.read(plan, fit.config) for study in validation[0])
