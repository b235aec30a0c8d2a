"""A fitted MiM: its network, and a study through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.engine.saved_plan import EMBEDDING
from scanweave.framework.fitted_run import FittedRun
from scanweave.framework.network_memory import refuse_large_input
from scanweave.framework.predicting import known_scans
from scanweave.studies.preparing.preparation import PreparedStudy, background, prepare, restore
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.systems.mim.config import MimConfig
from scanweave.systems.mim.inference import Reconstructor
from scanweave.systems.mim.levels import AXES
from scanweave.systems.mim.network import MimNetwork
from scanweave.systems.mim.planning import MimPlan


class FittedMim(FittedRun[MimConfig]):
    """A fitted MiM; see `FittedRun`.

    Attributes:
        reconstructor: The network, ready to look at whole scans.
    """

    config_class = MimConfig
    plan_class: ClassVar[type[MimPlan]] = MimPlan
    plan: MimPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        refuse_large_input((self.config.levels.view,) * AXES, 1, run.folder / "config.json")
        self.reconstructor = Reconstructor(self.loaded(lambda: MimNetwork(self.config)), self.config)

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Reconstruct every block of the scans of a study from the blocks around it.

        Args:
            study: Holds at least one scan that the run knows.
            targets: Scans of the run, and `embedding`; None: all scans that the study has.

        Returns:
            A study with the scans as they were reconstructed, on their native grids; and the embedding if it is asked
            for, the mean over the scans.

        Raises:
            ScanweaveError: It holds no scan of the run, or a target is unknown.
        """
        known = study.only(self.plan.scans)
        wanted = self.wanted(targets, [name for name in self.plan.scans if name in known.scans])
        if not wanted:
            return study.answer()
        prepared, made = self.prepared(study), dict[str, Any]()
        names = [name for name in wanted if name in prepared.volumes]
        if names:
            made["scans"] = {name: self.reconstructed(prepared, name) for name in names}
        if EMBEDDING in wanted:
            made["embeddings"] = {self.run.record["system"]: self.embedding(prepared)}
        return study.answer(**made)

    def prepared(self, study: Study, masks: Mapping[str, tuple[int, ...]] | None = None) -> PreparedStudy:
        """Return the scans of a study that the run knows made ready, and masks of these numbers.

        Raises:
            ScanweaveError: It holds no scan of the run.
        """
        known = known_scans(study, self.plan.scans)
        given = known.answer(scans=known.scans, masks=dict(study.masks) if masks else {})
        return prepare(given, self.plan.model_copy(update={"masks": dict(masks or {})}))

    def reconstructed(self, prepared: PreparedStudy, name: str) -> Scan:
        """Return one scan of a prepared study as it is reconstructed, on its native grid."""
        frame, seed = prepared.frames[name], self.config.training.seed
        made = self.reconstructor.reconstructed(prepared.volumes[name], background(self.plan, name), seed)
        native = restore(made, frame, self.plan, name)
        return Scan.of(native, frame.native.affine, synthetic=True, space=frame.native.space)

    def embedding(self, prepared: PreparedStudy) -> NDArray[np.float32]:
        """Return the mean over its scans of the encoder's last feature `(D,)`."""
        return np.asarray(np.mean([*self.embeddings(prepared).values()], axis=0), dtype=np.float32)

    def embeddings(self, prepared: PreparedStudy) -> Mapping[str, NDArray[np.float32]]:
        """Return the mean of the encoder's last feature `(D,)` of each scan."""
        return {
            name: self.reconstructor.embedding(volume, background(self.plan, name))
            for name, volume in prepared.volumes.items()
        }
