"""The trainings of a fit, one after the other: judge, generator, segmentor; and what each is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from scanweave.engine.settings import TrainingSettings
from scanweave.engine.stages import Stage, StageRun
from scanweave.engine.start_weights import begin_from
from scanweave.engine.task import Task
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.scan_preparation import PreparedParts
from scanweave.framework.segmentation.network import make_network
from scanweave.framework.segmentation.planning import NetworkPlan
from scanweave.framework.segmentation.samples import PatchSamples
from scanweave.framework.segmentation.target import SegmentationTarget
from scanweave.framework.segmentation.task import SegmentationTask
from scanweave.nets.segmentation_network import SegmentationNetwork
from scanweave.nets.sizes import parameter_count
from scanweave.studies.mask_targets import Structure
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.freetumor.config import FreeTumorConfig
from scanweave.systems.freetumor.fitted import GENERATOR, JUDGE, SEGMENTOR, hounsfield_unit, largest_change
from scanweave.systems.freetumor.looks import Looks, RealTumour, learn_looks, real_tumours
from scanweave.systems.freetumor.network import Generator, Inserter
from scanweave.systems.freetumor.samples import CopyLook, Look, RuleLook, TumourSamples
from scanweave.systems.freetumor.task import GeneratorTask, MixedTask
from scanweave.wording import studies

ORGAN = "organ"
SHARED = ("seed", "device", "precision", "workers", "worker_timeout")
"""Settings of `training` that hold for the other stages too."""


@dataclass(frozen=True, eq=False)
class TumourFit:
    """A fit that is prepared: what its stages learn from.

    Attributes:
        fit: The fit.
        parts: Prepared studies, and how they are made ready: the first mask is that of the tumours.
        target: The tumour.
        design: What the segmentors look like.
        organs: Numbers of the organs in the mask of organs; none: all.
    """

    fit: CohortFit[FreeTumorConfig]
    parts: PreparedParts
    target: SegmentationTarget
    design: NetworkPlan
    organs: tuple[int, ...]

    @property
    def config(self) -> FreeTumorConfig:
        """All settings."""
        return self.fit.config

    @property
    def scan(self) -> str:
        """Name of the scan."""
        return self.parts.plan.scans[0]

    @property
    def tumour(self) -> str:
        """Mask of the tumours."""
        return self.target.masks[0]

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a prepared voxel along each axis [mm]."""
        return self.parts.plan.spacing or self.parts.training[0].frame.working.spacing

    @cached_property
    def real(self) -> list[RealTumour]:
        """Tumours that are drawn in the training studies."""
        named = self.scan, self.tumour, self.config.organ_mask
        return list(real_tumours(self.parts.training, *named, self.organs, self.spacing))

    @cached_property
    def holding(self) -> set[str]:
        """Names of the training studies in which a tumour is drawn."""
        return {study.id for study in self.drawn if bool((np.asarray(study.mask(self.tumour)[:]) != 0).any())}

    @cached_property
    def drawn(self) -> list[CachedStudy]:
        """Training studies in which somebody looked for tumours."""
        return [study for study in self.parts.training if self.tumour in study.masks]

    def learn_looks(self) -> Looks:
        """Return what the real tumours look like."""
        return learn_looks(self.real, self.spacing, hounsfield_unit(self.parts.plan, self.scan))

    def stages(self, looks: Looks) -> list[Stage]:
        """Return the trainings of the fit.

        Raises:
            ScanweaveError: The settings need drawn tumours and there are none, or no study has the organ.
        """
        config = self.config
        self._check(looks)
        made = []
        if config.uses_judge:
            made.append(Stage(JUDGE, self._segmenting(config.judge), self._judge_task))
        if config.uses_generator:
            settings = config.generator.training
            made.append(Stage(GENERATOR, self._shared(settings), lambda run: self._generator_task(run, looks)))
        return [*made, Stage(SEGMENTOR, self._segmenting(config.training), lambda run: self._mixed_task(run, looks))]

    def _check(self, looks: Looks) -> None:
        config = self.config
        there = [study for study in self.parts.training if config.organ_mask in study.masks]
        if not there:
            reason = f"no training study has the mask '{config.organ_mask}', in which tumours may lie"
            raise ScanweaveError("organ_mask", reason, "Name the mask of organs by --organ-mask")
        if self.parts.plan.rule(self.scan).kind != "standard":
            reason = f"{self.scan} holds no values below 0, as CT in HU does: tumours are learnt in HU"
            raise ScanweaveError(
                "scans", reason, "Give CT; for others there is scanweave synthesize --rules --unit percent"
            )
        if self.design.dimensions != 3:
            raise ScanweaveError("network.dimensions", "tumours are put into volumes alone", "Give 3, or other scans")
        wanting = {
            "judge": config.uses_judge,
            "contrast of labelled tumours (synthesis.contrast)": config.synthesis.contrast == "labelled",
            "tumour to copy": config.synthesis.source == "copied",
        }
        needs = [name for name, wanted in wanting.items() if wanted]
        if needs and not looks.contrasts:
            holding = len(self.holding)
            drawn = f"tumours are drawn in {holding} training studies, none of which has the mask of organs around them"
            reason = f"{drawn if holding else 'no tumour is drawn in the training studies'}: no {needs[0]} without"
            step = "Give --preset rules --synthesis.contrast fixed, which needs none"
            raise ScanweaveError(f"mask '{self.tumour}'", reason, step)
        without = len(self.parts.training) - len(self.holding)
        self.fit.say(f"tumours are drawn in {studies(len(self.holding))}; {without} have none")

    def _shared(self, settings: TrainingSettings) -> TrainingSettings:
        """Return the settings of a stage, with what holds for all of them."""
        return settings.model_copy(update={name: getattr(self.config.training, name) for name in SHARED})

    def _segmenting(self, settings: TrainingSettings) -> TrainingSettings:
        return self._shared(settings).model_copy(update={"batch_size": self.design.batch})

    def _for(self, settings: TrainingSettings) -> FreeTumorConfig:
        return self.config.model_copy(update={"training": settings})

    def _judge_task(self, run: StageRun) -> Task:
        """Return the first segmentor: on drawn studies alone."""
        config = self._for(self._segmenting(self.config.judge))
        task = SegmentationTask(config, self.parts.plan, self.target, self.design, self.drawn, self._validation)
        return self._begun(run, task, "judge")

    def _generator_task(self, run: StageRun, looks: Looks) -> Task:
        config = self.config.model_copy(
            update={"generator": self.config.generator.model_copy(update={"training": self._shared_generator})}
        )
        samples = self._samples(looks, beside_real=True, tries=1)
        task = GeneratorTask(config, samples, self._segmentor(run.earlier[JUDGE]), self._reach)
        self._tell("generator", task.network)
        return task

    def _mixed_task(self, run: StageRun, looks: Looks) -> Task:
        generator = None
        if self.config.uses_generator:
            generator = with_weights(Generator(self.config.generator), run.earlier[GENERATOR])
        judge = self._segmentor(run.earlier[JUDGE]) if self.config.synthesis.judged else None
        task = MixedTask(
            self._for(self._segmenting(self.config.training)),
            self.parts.plan,
            self.target,
            self.design,
            self.parts.training,
            self._validation,
            samples=self._samples(looks, beside_real=False, tries=self.config.synthesis.tries),
            inserter=Inserter(generator, self._reach),
            judge=judge,
        )
        return self._begun(run, task, "segmentor")

    @property
    def _shared_generator(self) -> TrainingSettings:
        return self._shared(self.config.generator.training)

    @property
    def _validation(self) -> list[CachedStudy]:
        return [study for study in self.parts.validation if self.tumour in study.masks]

    @property
    def _reach(self) -> float:
        return largest_change(self.parts.plan, self.scan, self.config)

    def _begun(self, run: StageRun, task: SegmentationTask, name: str) -> SegmentationTask:
        begin_from(run, task.network, self.config.start, self.fit.say, task.start_weights)
        self._tell(name, task.network)
        return task

    def _tell(self, name: str, network: nn.Module) -> None:
        self.fit.say(f"network: {name}, {parameter_count(network) / 1e6:.2f} million parameters")

    def _segmentor(self, weights: Path) -> SegmentationNetwork:
        sizes = len(self.parts.plan.scans), self.target.outputs, self.config.network.first_channels
        return with_weights(make_network(self.design, *sizes), weights)

    def _samples(self, looks: Looks, *, beside_real: bool, tries: int) -> TumourSamples:
        """Return crops of all training studies, with tumours to put in."""
        config = self.config
        organ = Structure(ORGAN, config.organ_mask, self.organs)
        both = SegmentationTarget(structures=(*self.target.structures, organ), exclusive=False)
        sampled = self._weighted(config.synthesis.labelled if not beside_real else None)
        patches = PatchSamples(
            sampled, [self.scan], both, self.design, config.sampling, config.augmentation, config.training.seed
        )
        look: Look = (
            CopyLook(self.real, self.scan)
            if config.synthesis.source == "copied"
            else RuleLook(config.synthesis, looks, hounsfield_unit(self.parts.plan, self.scan))
        )
        settings = config.synthesis.model_copy(update={"tries": tries})
        return TumourSamples(patches, look, settings, self.spacing, beside_real=beside_real)

    def _weighted(self, share: float | None) -> list[CachedStudy]:
        """Return the training studies, those with a tumour so often that they make a share of all."""
        holding = [study for study in self.parts.training if study.id in self.holding]
        others = [study for study in self.parts.training if study.id not in self.holding]
        if share is None or not holding or not others:
            return self.parts.training
        odds = share / (1 - share) * len(others) / len(holding)
        more, fewer = max(1, round(odds)), max(1, round(1 / odds))
        return holding * more + others * fewer


def organ_numbers(structures: Sequence[Structure], asked: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the organs that are asked for; none: all that the mask holds."""
    chosen = [one for one in structures if one.name in asked]
    return tuple(sorted({int(number) for one in chosen for number in np.atleast_1d(one.numbers)}))
