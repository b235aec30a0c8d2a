"""Evaluation of a pre-training: how well hidden blocks are guessed, and what a linear model tells from the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.cohort_parts import is_own, part_of
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.question import text_of
from scanweave.framework.network_task import seeded_network
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import bootstrap
from scanweave.measures.delong import auroc_interval
from scanweave.measures.summary import summarise
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import Structure, structures_of
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare
from scanweave.studies.study import Study
from scanweave.systems.mim.config import EvaluateOptions
from scanweave.systems.mim.figures import guess_figure
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.inference import Guesser
from scanweave.systems.mim.network import MimNetwork
from scanweave.systems.mim.probes import Features, VoxelProbe, dice_of, drawn_voxels, told_labels
from scanweave.systems.mim.samples import crop_sample
from scanweave.wording import count, listed

ERRORS, PROBES = "errors.csv", "probes.csv"
CROPS = 4
"""Crops of each scan that are measured."""
LEARNT_STUDIES = 64
"""Training studies that a probe learns from, at most."""
LEARNT_MASKS = 16
"""Of those with masks, whose voxels take longer."""
MOST_CLASSES = 10
"""Of a label that a probe tells."""
FEWEST = 8
"""Training studies with a label or mask from which there is a probe."""
FITTED, RANDOM = "fitted", "random weights"
OWN_MEAN = 1.0
"""Error of a guess that is the mean of each block, where blocks have the deviation 1."""


def evaluate(fitted: FittedMim, trial: Trial, options: EvaluateOptions) -> pd.DataFrame:
    """Measure guesses of hidden blocks on every study, and what its labels and masks are told from.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: Masks, pictures, probes.

    Returns:
        The summary: a row a scan and level, then a row a probe.

    Raises:
        ScanweaveError: No study could be measured.
    """
    rows: list[dict[str, Any]] = []

    def told(study: Study) -> list[dict[str, Any]]:
        return measured(fitted, study, options.seed)

    for name, found in trial.each(told, options):
        rows += found
        means = ", ".join(f"{row['scan']} {row['level']} {row['error']:.3f}" for row in found)
        trial.say(f"{name}: error {means}")
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / ERRORS)
    summary = summarise(table, ["scan", "level"], ["error"], options.seed)
    probed = pd.DataFrame(_probed(fitted, trial, options)) if options.probe else pd.DataFrame()
    if not probed.empty:
        save_table(probed, trial.folder / PROBES)
    pictures = _draw(fitted, trial, table, options.pictures)
    trial.conclude(
        summary, pictures=pictures, probes=probed.astype(object).where(probed.notna(), None).to_dict("records")
    )
    levels = ", ".join(f"{row['scan']} {row['level']} {row['mean']:.3f}" for row in summary.to_dict("records"))
    trial.say(f"error of hidden blocks: {levels}; guessed as the mean of the block: {OWN_MEAN:g}")
    return summary


def measured(fitted: FittedMim, study: Study, seed: int) -> list[dict[str, Any]]:
    """Return the error of each scan and level of a study, over some crops and masks.

    Raises:
        ScanweaveError: It holds no scan of the run.
    """
    rows = []
    for name, volume in _prepared(fitted, study).volumes.items():
        draws = []
        for number in range(CROPS):
            rng = np.random.default_rng([seed, number])
            sample = crop_sample(volume, background(fitted.plan, name), fitted.guesser.levels, rng)
            draws.append(fitted.guesser.errors(fitted.guesser.batch(sample)))
        for level, error in enumerate(np.mean(draws, axis=0).tolist(), start=1):
            about = {"study": study.id, "patient": study.patient, "scan": name, "level": f"level {level}"}
            rows.append({**about, "error": error})
    return rows


def _prepared(fitted: FittedMim, study: Study, masks: Mapping[str, tuple[int, ...]] | None = None) -> PreparedStudy:
    known = study.only(fitted.plan.scans)
    if not known.scans:
        raise ScanweaveError(study.id, "holds no scan of this run", f"Give one of {listed(fitted.plan.scans)}")
    given = study.answer(scans=known.scans, masks=dict(study.masks) if masks else {})
    return prepare(given, fitted.plan.model_copy(update={"masks": dict(masks or {})}))


@dataclass(frozen=True)
class _Probe:
    """Hold what probes work on: the run, an encoder with random weights, and studies to learn from."""

    fitted: FittedMim
    trial: Trial
    learnt: Cohort
    options: EvaluateOptions

    @property
    def guessers(self) -> dict[str, Guesser]:
        """The fitted network, and one as it was before the training."""
        config = self.fitted.config
        first = seeded_network(config, lambda: MimNetwork(config)).to(self.fitted.device).requires_grad_(False)
        return {FITTED: self.fitted.guesser, RANDOM: Guesser(first, config)}


def _probed(fitted: FittedMim, trial: Trial, options: EvaluateOptions) -> list[dict[str, Any]]:
    """Return a row a label or structure that was told from features, of the fitted encoder and of a random one."""
    whole = Cohort.open(trial.cohort.folder)
    labels, masks = whole.names("label"), whole.names("mask")
    if not labels and not masks:
        return []
    if not is_own(fitted.run, whole):
        trial.say("note: no probe, which learns from the training part of the run's own cohort")
        return []
    probe = _Probe(fitted, trial, part_of(fitted.run, whole, "train"), options)
    guessers, rows = probe.guessers, list[dict[str, Any]]()
    for label in labels:
        rows += _label_rows(probe, guessers, label)
    for structure_mask in masks:
        rows += _mask_rows(probe, guessers, structure_mask)
    for row in rows:
        trial.say(f"probe: {row['what']}, {row['measure']} {row['value']:.3f} ({row['features']})")
    return rows


def _label_rows(probe: _Probe, guessers: Mapping[str, Guesser], label: str) -> list[dict[str, Any]]:
    """Tell a label of few classes from the embeddings of studies, a row a class; of two classes one."""
    learnt = probe.learnt.where(probe.learnt.frame[f"label:{label}"].notna())
    learnt = learnt.select(learnt.studies[:LEARNT_STUDIES])
    tried = probe.trial.cohort.where(probe.trial.cohort.frame[f"label:{label}"].notna())
    truths = [[text_of(value) for value in part.frame[f"label:{label}"]] for part in (learnt, tried)]
    if len(learnt) < FEWEST or not 2 <= len(set(truths[0])) <= MOST_CLASSES or len(set(truths[1])) < 2:
        return []
    rows = []
    for name, guesser in guessers.items():
        features = [_embeddings(probe.fitted, guesser, part) for part in (learnt, tried)]
        classes, shares = told_labels(features[0], truths[0], features[1])
        for column, one in list(enumerate(classes))[-1:] if len(classes) == 2 else enumerate(classes):
            truth = np.array([value == one for value in truths[1]])
            if truth.any() and not truth.all():
                found = auroc_interval(truth, shares[:, column], list(tried.frame["patient"]))
                what = label if len(classes) == 2 else f"{label}: {one}"
                rows.append(_row(what, "AUROC", name, found, len(tried)))
    return rows


def _embeddings(fitted: FittedMim, guesser: Guesser, part: Cohort) -> Features:
    """Return the mean over scans of the encoder's last feature, a row a study."""
    rows = []
    for study in part:
        volumes = _prepared(fitted, study).volumes
        each = [guesser.embedding(volume, background(fitted.plan, name)) for name, volume in volumes.items()]
        rows.append(np.mean(each, axis=0))
    return np.stack(rows).astype(np.float32)


def _mask_rows(probe: _Probe, guessers: Mapping[str, Guesser], mask: str) -> list[dict[str, Any]]:
    """Tell the structures of a mask, voxel by voxel: Dice on the grid of the scan that it belongs to."""
    column = f"mask:{mask}"
    learnt = probe.learnt.where(probe.learnt.frame[column].notna())
    learnt = learnt.select(learnt.studies[:LEARNT_MASKS])
    tried = probe.trial.cohort.where(probe.trial.cohort.frame[column].notna())
    structures = [one for one in structures_of(probe.learnt, [mask]) if one.channel is None]
    if len(learnt) < FEWEST // 2 or not len(tried) or not structures:
        return []
    numbers = {mask: tuple(sorted({number for one in structures for number in one.numbers}))}
    rows = []
    for name, guesser in guessers.items():
        rng = np.random.default_rng(probe.options.seed)
        parts = [_voxels(probe.fitted, guesser, study, numbers, rng) for study in learnt]
        model = VoxelProbe(np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts]))
        found: dict[str, list[tuple[str, float]]] = {}
        for study in tried:
            features, truth = _voxels(probe.fitted, guesser, study, numbers, None)
            for structure, dice in dice_of(truth, model.told(features), _by_name(structures)).items():
                found.setdefault(structure, []).append((study.patient, dice))
        for structure, values in found.items():
            interval = bootstrap([dice for _, dice in values], [who for who, _ in values], seed=probe.options.seed)
            rows.append(_row(structure, "Dice", name, interval, len(values)))
    return rows


def _by_name(structures: Sequence[Structure]) -> dict[str, Sequence[int]]:
    return {one.name: one.numbers for one in structures}


def _voxels(
    fitted: FittedMim,
    guesser: Guesser,
    study: Study,
    numbers: Mapping[str, tuple[int, ...]],
    rng: np.random.Generator | None,
) -> tuple[Features, Any]:
    """Return features of the voxels of a study and their structures: of some with `rng`, of all without.

    Where scans of one grid are there, the first counts.
    """
    prepared, mask = _prepared(fitted, study, numbers), next(iter(numbers))
    labels = prepared.masks[mask]
    name = next(name for name, volume in prepared.volumes.items() if volume.shape == labels.shape)
    every = np.indices(labels.shape).reshape(3, -1).T.astype(np.int64)
    voxels = every if rng is None else drawn_voxels(labels, rng)
    features = guesser.voxel_features(prepared.volumes[name], background(fitted.plan, name), voxels)
    return features, labels[tuple(voxels.T)].astype(np.int64)


def _row(what: str, measure: str, features: str, found: Any, studies: int) -> dict[str, Any]:
    about = {"what": what, "measure": measure, "features": features}
    return {
        **about,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "patients": found.n,
        "studies": studies,
    }


def _draw(fitted: FittedMim, trial: Trial, table: pd.DataFrame, number: int) -> dict[str, str]:
    """Draw studies from the best to the worst guessed; return what each picture shows, by its name."""
    order = table.groupby("study")["error"].mean().sort_values()
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, min(number, len(order)))})
    told = {}
    for place in places:
        study = trial.study(str(order.index[place]))
        prepared = _prepared(fitted, study)
        name, volume = next(iter(prepared.volumes.items()))
        shown = fitted.guesser.example(volume, background(fitted.plan, name), trial_seed(study))
        spacing = prepared.frames[name].working.spacing
        file = f"{study.id}.png"
        save_figure(guess_figure(*shown, spacing), trial.folder / file)
        told[file] = (
            f"{study.id}, {name}: as it is, what the network saw, and its guess; error {order.iloc[place]:.2f}, "
            f"{place + 1} of {count(len(order), 'study', 'studies')} from the best."
        )
    return told


def trial_seed(study: Study) -> int:
    """Return a seed that is the same for a study whenever it is drawn."""
    return sum(study.id.encode())
