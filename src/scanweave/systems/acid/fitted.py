"""A fitted ACID: the network, the loop around it, and a study reconstructed by them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

import torch
from deepinv.physics import LinearPhysics

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.physics.variation import TotalVariation
from scanweave.studies.measured_slices import same_pixel, same_thresholds
from scanweave.studies.slice_scans import slice_scan
from scanweave.studies.study import Study
from scanweave.systems.acid.config import AcidConfig
from scanweave.systems.acid.error_norm import feedback_map
from scanweave.systems.acid.loop import Acid, Reconstruct, Record
from scanweave.systems.acid.measurement_pairs import read_measurement
from scanweave.systems.acid.network import Reconstruction, make_network
from scanweave.systems.acid.operators import is_complex, open_physics
from scanweave.systems.acid.plan import AcidPlan
from scanweave.systems.acid.tuning import Choices


class FittedAcid(FittedRun[AcidConfig]):
    """A fitted ACID; see `FittedRun`.

    Attributes:
        choices: What was chosen for the loop.
        channels: Names of an image's channels.
        network: With its fitted weights.
        physics: The scanner of the fit.
    """

    config_class = AcidConfig
    plan_class: ClassVar[type[AcidPlan]] = AcidPlan
    plan: AcidPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.choices = Choices.load(run.folder)
        self.channels = self.plan.channels
        self.network = self.loaded(lambda: make_network(len(self.channels), self.config.network))
        self.physics = open_physics(self.plan.physics).to(self.device)

    def phi(self, physics: LinearPhysics | None = None) -> Reconstruction:
        """Return the network alone, on its own or another scanner."""
        return Reconstruction(self.network, physics or self.physics)

    def acid(self, physics: LinearPhysics | None = None) -> Acid:
        """Return the whole workflow with what was chosen at the fit, on its own or another scanner."""
        physics = physics or self.physics
        phi, chosen = self.phi(physics), self.choices
        like = torch.zeros(1, len(self.channels), *self._grid(physics), device=self.device)
        found = {name: getattr(chosen, name) for name in ("step", "threshold", "discrepancy")}
        settings = self.config.loop.model_copy(update=found)
        feedback = feedback_map(chosen.feedback, phi, physics, like)
        return Acid(phi, physics, settings, feedback=feedback, noise=chosen.noise, coupled=is_complex(physics))

    def methods(self, physics: LinearPhysics | None = None) -> dict[str, Reconstruct]:
        """Return every reconstruction of the run by name: A†, tuned TV, the network, ACID."""
        physics = physics or self.physics
        return {
            "A†": physics.A_dagger,
            "TV": TotalVariation(physics, self.choices.tv_weight, coupled=is_complex(physics)),
            "network": self.phi(physics),
            "ACID": self.acid(physics),
        }

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Reconstruct the bins of a study from its sinogram.

        Args:
            study: Holds a sinogram `ct` of any CT geometry with this run's image grid; the run's own is best.
            targets: Which bins to return; None: all.

        Raises:
            ScanweaveError: The sinogram is absent, of another grid or other bins, or a target is unknown.
        """
        if is_complex(self.physics):
            raise ScanweaveError(study.id, "the run was fitted to MRI", "Call methods() on k-space in Python")
        wanted = self.wanted(targets, self.channels)
        physics, thresholds, measurement = read_measurement(study)
        if physics.geometry.shape != self._grid(self.physics) or len(measurement) != len(self.channels):
            raise ScanweaveError(
                study.id,
                f"{len(measurement)} bins on a grid of {physics.geometry.shape}",
                f"This run knows {len(self.channels)} bins on {self._grid(self.physics)}",
            )
        same_pixel(physics.geometry.pixel, self.physics.geometry.pixel, study.id)
        if self.plan.thresholds:
            same_thresholds(thresholds, self.plan.thresholds, study.id)
        record = Record()
        with torch.no_grad():
            image = self.acid(physics)(measurement[None].to(self.device), record)[0].cpu().numpy()
        if float(record.residual[-1]) > float(record.residual[0]):
            first, last = (float(record.residual[number]) for number in (0, -1))
            line = f"warning: {study.id}: the residual rose, from {first:.3g} to {last:.3g} of the measurement"
            print(line, file=sys.stderr)
        pixel = physics.geometry.pixel
        made = {name: slice_scan(one, pixel, synthetic=True) for name, one in zip(self.channels, image, strict=True)}
        return study.answer(scans={name: made[name] for name in wanted})

    @staticmethod
    def _grid(physics: LinearPhysics) -> tuple[int, ...]:
        shape = physics.mask.shape if is_complex(physics) else physics.geometry.shape
        return tuple(int(count) for count in shape[-2:])
