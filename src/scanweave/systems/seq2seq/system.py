"""Seq2Seq as a user meets it: fit, predict, evaluate, rank, explain, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanweave.engine.fits import divide, fitted_config, note_cohort, start_fit
from scanweave.engine.loop import open_accelerator, train
from scanweave.engine.progress import counted
from scanweave.engine.run import Run
from scanweave.engine.selection import Choice
from scanweave.engine.settings import checked
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import sound_studies
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.plan import Plan, learn_plan
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare, restore
from scanweave.studies.preparing.prepared_cache import CachedStudy, PreparedCohort
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.seq2seq import differentiation, evaluation, ranking, report
from scanweave.systems.seq2seq.config import Seq2SeqConfig
from scanweave.systems.seq2seq.network import Seq2SeqNetwork
from scanweave.systems.seq2seq.synthesis import Synthesizer
from scanweave.systems.seq2seq.task import Seq2SeqTask

PLAN_STUDIES = 32
"""Training studies that the intensities of a plan are learnt from, at most: more would hardly move a median."""

Say = Callable[[str], None]


class Seq2Seq:
    """A fitted Seq2Seq.

    Args:
        run: Its run folder.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.config = fitted_config(run, Seq2SeqConfig)
        self.plan = Plan.load(run.folder / "plan.json")
        self.sequences = tuple(self.plan.sequences)
        network = with_weights(Seq2SeqNetwork(self.config.network), run.weights)
        settings = self.config.training.model_copy(update={"device": device, "precision": "fp32"})
        self.synthesizer = Synthesizer(
            network.to(open_accelerator(settings).device),
            self.sequences,
            self.config.synthesis,
            self.config.sampling,
            {name: background(self.plan, name) for name in self.sequences},
        )

    @classmethod
    def fit(
        cls,
        cohort: Cohort,
        run: str | Path,
        config: Seq2SeqConfig,
        *,
        fold: int = 0,
        workers: int = 1,
        say: Say = print,
    ) -> Seq2Seq:
        """Learn all sequences of a cohort from each other, from its training part; continue a fit that was stopped.

        Args:
            cohort: Studies with any of the sequences; incomplete ones are used as they are.
            run: The run folder.
            config: Every setting.
            fold: Which fold of the cohort's splits trains.
            workers: Processes that prepare studies.
            say: Takes one line for each choice made, and why.

        Raises:
            ScanweaveError: Nothing to learn from, the run folder is in use or holds another run.
        """
        config = checked(Seq2SeqConfig, config.model_dump(), "settings")
        sequences = _sequences(cohort, config)
        if config.objective.perceptual and config.objective.vgg_weights is None:
            say("loss: without its perceptual term, since objective.vgg_weights names no file; the paper's has one")
        columns = [f"scan:{name}" for name in sequences]
        with start_fit(run, "seq2seq", config, cohort, columns, fold=fold, say=say) as started:
            if started.finished:
                say(f"{started.folder} is finished: nothing to do")
            else:
                with open_accelerator(config.training).main_process_first():
                    with counted("studies checked", shown=started.main) as progress:
                        sound = sound_studies(cohort, workers, say, progress)
                    sequences = _sequences(sound, config)
                    counts = sound.counts()
                    say("sequences: " + " · ".join(f"{name} {counts[name]}" for name in sequences))
                    parts = _prepared_parts(sound, config, started, sequences, fold=fold, workers=workers, say=say)
                    note_cohort(started, cohort, sequences, fold)
                task = Seq2SeqTask(config, sequences, *parts)
                count = sum(weight.numel() for weight in task.network.parameters()) / 1e6
                say(f"network: {count:.1f} million parameters, preset {config.preset}")
                train(task, config.training, started)
        return cls(Run.open(run), config.training.device)

    @classmethod
    def open(cls, run: str | Path, device: str = "auto") -> Seq2Seq:
        """Open the run folder of a finished fit."""
        return cls(Run.open(run), device)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Synthesise sequences of a study from those present.

        Args:
            study: Holds at least one sequence that the run knows.
            targets: Which to make, each from all present others, averaged in image space, as if it were absent itself;
                None: the absent ones.

        Returns:
            A study with the synthetic scans only, on the native grid of the reference scan among their sources.

        Raises:
            ScanweaveError: A target is unknown, or nothing is there to make it from.
        """
        wanted = [name for name in self.sequences if name not in study.scans] if targets is None else list(targets)
        for name in wanted:
            self.plan.rule(name)
        if not wanted:
            return study.with_scans({})
        absent = [name for name in wanted if name not in study.scans]
        # A real scan of a target must not shape its own prediction, neither by its grid nor by its intensities.
        groups = [*([absent] if absent else []), *([name] for name in wanted if name in study.scans)]
        made: dict[str, Scan] = {}
        for names in groups:
            made |= self._made(study.without(*names), names)
        return study.with_scans({name: made[name] for name in wanted})

    def _made(self, study: Study, targets: Sequence[str]) -> dict[str, Scan]:
        if not study.only(self.sequences).scans:
            names = ", ".join(self.sequences)
            raise ScanweaveError(study.id, f"nothing to make {targets[0]} from", f"Add at least one other of {names}")
        prepared = self.prepare(study)
        made = self.synthesizer.combine(prepared.volumes, targets)
        return {name: self.native(volume, prepared, name) for name, volume in made.items()}

    def prepare(self, study: Study) -> PreparedStudy:
        """The study as the network sees it."""
        known = study.only(self.sequences)
        if not known.scans:
            names = ", ".join(self.sequences)
            raise ScanweaveError(study.id, "holds no sequence of this run", f"Give at least one of {names}")
        return prepare(known, self.plan)

    def native(self, volume: np.ndarray, prepared: PreparedStudy, name: str) -> Scan:
        """A synthetic volume in [-1, 1] as a scan on the native grid, in intensities of its sequence."""
        data = restore(volume, prepared.frame, self.plan, name)
        return Scan.of(data, prepared.frame.native.affine, synthetic=True)

    def evaluate(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        include_self: bool = False,
        lpips: tuple[Path, Path] | None = None,
        say: Say = print,
    ) -> pd.DataFrame:
        """Predict every present sequence from the others and compare; see `evaluation.evaluate`."""
        return evaluation.evaluate(self, cohort, out, part=part, include_self=include_self, lpips=lpips, say=say)

    def rank(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        say: Say = print,
        **conventions: Any,
    ) -> ranking.Ranking:
        """Rank the sequences by C_t and C_d; `conventions` are fields of `ranking.RankingOptions`."""
        return ranking.rank(self, cohort, out, ranking.RankingOptions(**conventions), part=part, say=say)

    def explain(
        self,
        cohort: Cohort,
        out: str | Path | None = None,
        *,
        part: Choice | None = None,
        include_self: bool = False,
        pictures: int = differentiation.PICTURES,
        say: Say = print,
    ) -> pd.DataFrame:
        """Map what no other sequence tells of each; see `differentiation.explain`."""
        return differentiation.explain(
            self, cohort, out, part=part, include_self=include_self, pictures=pictures, say=say
        )

    def report(self, path: str | Path | None = None) -> Path:
        """Write all that the run folder knows as one HTML page, `report.html` in it unless `path` is given."""
        return report.write(self.run, self.plan, path)


def _sequences(cohort: Cohort, config: Seq2SeqConfig) -> list[str]:
    there = cohort.names("scan")
    names = list(config.sequences) or there
    absent = [name for name in names if name not in there]
    if absent:
        raise ScanweaveError(
            "sequences", f"'{absent[0]}' is not in the cohort ({', '.join(there)})", "Name those that are"
        )
    if not 2 <= len(names) <= config.network.code_length:
        raise ScanweaveError(
            cohort.folder,
            f"has volumes of {len(names)} sequence{'s' * (len(names) != 1)} ({', '.join(names)})",
            f"Give 2 to {config.network.code_length} sequences",
        )
    return names


def _prepared_parts(
    cohort: Cohort, config: Seq2SeqConfig, run: Run, sequences: Sequence[str], *, fold: int, workers: int, say: Say
) -> tuple[list[CachedStudy], list[CachedStudy]]:
    training, validation = divide(_with_scans(cohort, sequences), fold, say)
    path = run.folder / "plan.json"
    if path.exists():
        plan = Plan.load(path)
    else:
        order = np.random.default_rng([config.training.seed, 2]).permutation(len(training))
        chosen = training.select([training.studies[i] for i in order[:PLAN_STUDIES]])
        plan = learn_plan(chosen, sequences, config.preparation)
        if run.main:
            plan.save(path)
    for reason in plan.reasons:
        say(reason)
    prepared = []
    for part in (training, validation):
        with counted("studies prepared", shown=run.main) as progress:
            prepared.append(PreparedCohort(part, plan).prepare(workers, progress) if len(part) else [])
    return prepared[0], prepared[1]


def _with_scans(cohort: Cohort, sequences: Sequence[str]) -> Cohort:
    return cohort.where(cohort.frame[[f"scan:{name}" for name in sequences]].notna().any(axis=1))
