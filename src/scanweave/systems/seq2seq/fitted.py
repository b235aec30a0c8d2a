"""A fitted Seq2Seq: its network, and a study through it and back to the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.predicting import known_scans
from scanweave.framework.run_outputs import find_output
from scanweave.framework.scan_preparation import native_scan
from scanweave.report.saving import read_summary
from scanweave.studies.preparing.plan import Plan
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare, shared_frame
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.seq2seq.config import Seq2SeqConfig
from scanweave.systems.seq2seq.frame_values import series_nodes
from scanweave.systems.seq2seq.fusion_network import make_network
from scanweave.systems.seq2seq.plain_mean import known_below
from scanweave.systems.seq2seq.synthesis import Synthesizer, ready_synthesizer


class FittedSeq2Seq(FittedRun[Seq2SeqConfig]):
    """A fitted Seq2Seq; see `FittedRun`.

    Attributes:
        sequences: Their names, in the order of their numbers.
        synthesizer: The network, ready to make volumes.
    """

    config_class = Seq2SeqConfig
    plan_class: ClassVar[type[Plan]] = Plan
    plan: Plan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.sequences = tuple(self.plan.scans)
        nodes = series_nodes(self.sequences, self.plan.series)
        self.synthesizer = ready_synthesizer(
            self.loaded(lambda: make_network(self.config.network, len(self.sequences), nodes)),
            self.sequences,
            self.config.synthesis,
            self.config.sampling,
            {name: background(self.plan, name) for name in self.sequences},
            self.plan.series,
        )

    def cautions(self) -> dict[str, str]:
        """Return what the newest evaluation says against a target: that a plain mean was nearer to the real scan."""
        record = read_summary(find_output(self.run, "evaluation"))
        about = {} if record is None else record.get("about")
        return {name: one.words for name, one in known_below(about).items()}

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Synthesise sequences of a study from those present; of a series as many frames as are typical by the plan.

        Args:
            study: Holds at least one sequence that the run knows.
            targets: Which to make, each from all present others, averaged in image space, as if it were absent itself;
                None: the absent ones.

        Returns:
            A study with the synthetic scans only, on the native grid of the reference scan among their sources.

        Raises:
            ScanweaveError: A target is unknown, or nothing is there to make it from.
        """
        wanted = self.wanted(targets, [name for name in self.sequences if name not in study.scans])
        absent = [name for name in wanted if name not in study.scans]
        # A real scan of a target must not shape its own prediction, neither by its grid nor by its intensities.
        groups = [*([absent] if absent else []), *([name] for name in wanted if name in study.scans)]
        made: dict[str, Scan] = {}
        for names in groups:
            made |= self._made(study.without(*names), names)
        return study.answer(scans={name: made[name] for name in wanted})

    def _made(self, study: Study, targets: Sequence[str]) -> dict[str, Scan]:
        if not study.only(self.sequences).scans:
            names = ", ".join(self.sequences)
            raise ScanweaveError(study.id, f"nothing to make {targets[0]} from", f"Add at least one other of {names}")
        prepared = self.prepare(study)
        made = self.synthesizer_of(prepared).combine(prepared.volumes, targets)
        return {name: self.native(volume, prepared, name) for name, volume in made.items()}

    def prepare(self, study: Study) -> PreparedStudy:
        """Return the study as the network sees it.

        Raises:
            ScanweaveError: It holds no sequence of the run, or they lie on grids of their own.
        """
        made = prepare(known_scans(study, self.sequences), self.plan)
        shared_frame(study.id, made.frames)
        return made

    def prepare_several(self, study: Study) -> PreparedStudy:
        """Return the study as the network sees it, if it holds sequences to compare.

        Raises:
            ScanweaveError: It holds a single one.
        """
        prepared = self.prepare(study)
        if len(prepared.volumes) < 2:
            raise ScanweaveError(study.id, "holds a single sequence, so nothing to compare", "Leave it out")
        return prepared

    def synthesizer_of(self, prepared: PreparedStudy) -> Synthesizer:
        """Return the network ready to make volumes of a study, told of its series."""
        return self.synthesizer.of_study(prepared.series) if prepared.series else self.synthesizer

    def native(self, volume: np.ndarray, prepared: PreparedStudy, name: str) -> Scan:
        """Return a synthetic volume in [-1, 1] as a scan on the native grid, in intensities of its sequence."""
        return native_scan(volume, prepared, self.plan, name)
