"""Probes of a cohort: its labels told from embeddings, its masks from features of voxels, beside random weights.

A probe learns from training studies of the run, of patients who are not tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.cohort_parts import is_own, part_of
from scanweave.errors import ScanweaveError
from scanweave.framework.classification.question import text_of
from scanweave.framework.network_task import seeded_network
from scanweave.framework.trial import Trial
from scanweave.measures.bootstrap import Interval, bootstrap
from scanweave.measures.delong import auroc_interval
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import Structure, structures_of
from scanweave.studies.preparing.preparation import PreparedStudy, background
from scanweave.studies.study import Study
from scanweave.systems.mim.fitted import FittedMim
from scanweave.systems.mim.inference import Reconstructor
from scanweave.systems.mim.linear_models import Features, VoxelProbe, dice_of, drawn_voxels, told_labels
from scanweave.systems.mim.network import MimNetwork

LEARNT_STUDIES, LEARNT_MASKS = 64, 16
"""Training studies that a probe learns from at most, of labels and of masks, whose voxels take longer."""
FEWEST_STUDIES, FEWEST_MASKS = 8, 4
"""Such studies from which there is a probe."""
MOST_CLASSES = 10
"""Classes of a label that is told."""
UNCERTAIN = "-1"
"""A finding that nobody is sure of: it teaches nothing, and is not tried."""
FITTED, RANDOM = "fitted", "random weights"
Row = dict[str, Any]


def probe_rows(fitted: FittedMim, trial: Trial, seed: int) -> list[Row]:
    """Return a row a label or structure that was told from features, of the fitted encoder and of a random one.

    Args:
        fitted: The fitted run.
        trial: The studies that are tried.
        seed: Of draws and resamples.
    """
    whole = Cohort.open(trial.cohort.folder)
    names = {kind: whole.names(kind) for kind in ("label", "mask")}
    if not any(names.values()):
        return []
    if not is_own(fitted.run, whole):
        trial.say("note: no probe, which learns from the training part of the run's own cohort")
        return []
    learnt = part_of(fitted.run, whole, "train")
    apart = learnt.where(~learnt.frame["patient"].isin(trial.cohort.patients))
    probe = _Probe(fitted, trial, apart, seed)
    rows = [row for label in names["label"] for row in probe.of_label(label)]
    rows += [row for mask in names["mask"] for row in probe.of_mask(mask)]
    for row in rows:
        trial.say(f"probe: {row['what']}, {row['measure']} {row['value']:.3f} ({row['features']})")
    return rows


@dataclass(frozen=True)
class _Probe:
    """Hold what probes work on.

    Attributes:
        fitted: The fitted run.
        trial: The studies that are tried.
        learnt: Those to learn from.
        seed: Of draws and resamples.
    """

    fitted: FittedMim
    trial: Trial
    learnt: Cohort
    seed: int

    def readers(self) -> Iterator[tuple[str, Reconstructor]]:
        """Yield the fitted network, and one as it was before the training."""
        yield FITTED, self.fitted.reconstructor
        config = self.fitted.config
        first = seeded_network(config, lambda: MimNetwork(config)).to(self.fitted.device).requires_grad_(False)
        yield RANDOM, Reconstructor(first, config)

    def of_label(self, label: str) -> list[Row]:
        """Tell a label of few classes from the embeddings of studies, a row a class; of two classes one."""
        heading = f"label:{label}"
        learnt = self._drawn(_certain(self.learnt, heading), heading, LEARNT_STUDIES)
        parts = [self._ready(learnt), self._ready(_certain(self.trial.cohort, heading))]
        truths = [[text_of(study.labels[label]) for study, _ in part] for part in parts]
        few = len(parts[0]) < FEWEST_STUDIES
        if few or not 2 <= len(set(truths[0])) <= MOST_CLASSES or len(set(truths[1])) < 2:
            self.trial.say(f"note: no probe of {label}: too few studies, or not from 2 to {MOST_CLASSES} classes")
            return []
        patients, rows = [study.patient for study, _ in parts[1]], list[Row]()
        for name, reader in self.readers():
            features = [np.stack([self._embedding(reader, prepared) for _, prepared in part]) for part in parts]
            classes, shares = told_labels(features[0], truths[0], features[1])
            for column, one in list(enumerate(classes))[-1:] if len(classes) == 2 else enumerate(classes):
                truth = np.array([value == one for value in truths[1]])
                if truth.any() and not truth.all():
                    what = label if len(classes) == 2 else f"{label}: {one}"
                    found = auroc_interval(truth, shares[:, column], patients)
                    rows.append(_row(what, "AUROC", name, found, len(truth)))
        return rows

    def of_mask(self, mask: str) -> list[Row]:
        """Tell the structures of a mask, voxel by voxel: Dice on the prepared grid of the scan that it belongs to."""
        heading = f"mask:{mask}"
        learnt = self._drawn(self.learnt.where(self.learnt.frame[heading].notna()), heading, LEARNT_MASKS)
        tried = self.trial.cohort.where(self.trial.cohort.frame[heading].notna())
        structures = [one for one in structures_of(self.learnt, [mask]) if one.channel is None] if len(learnt) else []
        if len(learnt) < FEWEST_MASKS or not len(tried) or not structures:
            self.trial.say(f"note: no probe of {mask}: too few studies with it")
            return []
        numbers = {mask: tuple(sorted({number for one in structures for number in one.numbers}))}
        rows = []
        for name, reader in self.readers():
            rng = np.random.default_rng(self.seed)
            parts = [self._some_voxels(reader, *one, mask, rng) for one in self._ready(learnt, numbers)]
            model = VoxelProbe(np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts]))
            found: dict[str, list[tuple[str, float]]] = {}
            for study, prepared in self._ready(tried, numbers):
                scan = scan_of(study, prepared, mask)
                made = reader.told_voxels(prepared.volumes[scan], background(self.fitted.plan, scan), model.told)
                truth = prepared.masks[mask].astype(np.int64)
                for structure, dice in dice_of(truth, made, _by_name(structures)).items():
                    found.setdefault(structure, []).append((study.patient, dice))
            for structure, values in found.items():
                each = bootstrap([dice for _, dice in values], [who for who, _ in values], seed=self.seed)
                rows.append(_row(structure, "Dice", name, each, len(values)))
        return rows

    def _drawn(self, part: Cohort, heading: str, most: int) -> Cohort:
        """Return some studies of a part, in proportion to the values of a column."""
        return part if len(part) <= most else part.labelled(most, self.seed, heading)

    def _ready(
        self, part: Cohort, masks: Mapping[str, tuple[int, ...]] | None = None
    ) -> list[tuple[Study, PreparedStudy]]:
        """Return the studies of a part that can be prepared; the others are named."""
        found = []
        for name in part.studies:
            try:
                study = part[name]
                found.append((study, self.fitted.prepared(study, masks)))
            except ScanweaveError as error:
                self.trial.say(f"no part of the probe: {error}")
        return found

    def _embedding(self, reader: Reconstructor, prepared: PreparedStudy) -> NDArray[np.float32]:
        """Return the mean over scans of the encoder's last feature."""
        plan = self.fitted.plan
        each = [reader.embedding(volume, background(plan, name)) for name, volume in prepared.volumes.items()]
        return np.asarray(np.mean(each, axis=0), dtype=np.float32)

    def _some_voxels(
        self, reader: Reconstructor, study: Study, prepared: PreparedStudy, mask: str, rng: np.random.Generator
    ) -> tuple[Features, NDArray[np.int64]]:
        """Return features of some voxels of a study, and their structures."""
        scan, labels = scan_of(study, prepared, mask), prepared.masks[mask]
        voxels = drawn_voxels(labels, rng)
        features = reader.voxel_features(prepared.volumes[scan], background(self.fitted.plan, scan), voxels)
        return features, labels[tuple(voxels.T)].astype(np.int64)


def scan_of(study: Study, prepared: PreparedStudy, mask: str) -> str:
    """Return the scan on whose grid a mask was prepared: that of its name, else the first on its grid, else the first.

    Raises:
        ScanweaveError: No scan has as many voxels as the mask.
    """
    drawn, names = study.masks[mask].geometry, list(prepared.volumes)
    alike = [name for name in names if prepared.frames[name].native.matches(drawn)]
    shape = prepared.masks[mask].shape
    for name in [*([mask] if mask in names else []), *alike, *names]:
        if prepared.volumes[name].shape == shape:
            return name
    raise ScanweaveError(study.id, f"the mask '{mask}' lies on the grid of none of its scans", "Leave it out")


def _certain(part: Cohort, heading: str) -> Cohort:
    """Return the studies of which a label is known for certain."""
    values = part.frame[heading]
    return part.where(values.notna() & (values.map(text_of) != UNCERTAIN))


def _by_name(structures: Sequence[Structure]) -> dict[str, Sequence[int]]:
    return {one.name: one.numbers for one in structures}


def _row(what: str, measure: str, features: str, found: Interval, studies: int) -> Row:
    about = {"what": what, "measure": measure, "features": features}
    return {
        **about,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "patients": found.n,
        "studies": studies,
    }
