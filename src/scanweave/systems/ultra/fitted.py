"""A fitted ULTRA: a study into the images that the network sees, and into clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.framework.fitted_run import FittedRun
from scanweave.physics.ct.geometry import geometry_from_dict
from scanweave.studies.slice_scans import slice_scan
from scanweave.studies.study import Study
from scanweave.systems.ultra.config import UltraConfig
from scanweave.systems.ultra.images import SpectralImages, reconstructed
from scanweave.systems.ultra.plan import SpectralPlan
from scanweave.systems.ultra.reconstruction import Reconstruction
from scanweave.systems.ultra.task import clean

Array = NDArray[np.floating]


class FittedUltra(FittedRun[UltraConfig]):
    """A fitted ULTRA; see `FittedRun`.

    Attributes:
        network: With its fitted weights.
    """

    config_class = UltraConfig
    plan_class: ClassVar[type[SpectralPlan]] = SpectralPlan
    plan: SpectralPlan

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        geometry = geometry_from_dict(self.plan.geometry) if self.plan.geometry else None
        self.network = self.loaded(
            lambda: Reconstruction(self.config.network, self.plan.offset, self.plan.scale, geometry)
        )

    def predict(self, study: Study, targets: Sequence[str] | None = None) -> Study:
        """Reconstruct a study.

        Args:
            study: Holds a sinogram of the run's bins.
            targets: Images to make, of `plan.targets`; None: the clean image of every bin.

        Returns:
            A study with these images only: bins and `mono…` in 1/mm, materials in g/cm³.

        Raises:
            ScanweaveError: The sinogram is absent or has other bins, or a target is unknown.
        """
        wanted = self.wanted(targets, self.plan.bins)
        images = self.images(study)
        made = dict(zip(self.plan.bins, self.clean(images), strict=True))
        if any(name not in made for name in wanted):
            made |= self.plan.derived(np.stack(list(made.values())))
        pixel = images.geometry.pixel
        return study.answer(scans={name: slice_scan(made[name], pixel, synthetic=True) for name in wanted})

    def images(self, study: Study) -> SpectralImages:
        """Return the study as the network sees it.

        Raises:
            ScanweaveError: The sinogram is absent, of other bins, or at fault.
        """
        self.plan.check(study.sinogram(self.plan.sinogram), f"{study.id}: {self.plan.sinogram}")
        images = reconstructed(study, self.plan.sinogram, self.plan.bins, self.config.window)
        if self.network.needs_sinogram and images.geometry.to_dict() != self.plan.geometry:
            step = "Use scans of that geometry, or another architecture"
            raise ScanweaveError(
                study.id, "was measured with another geometry than learned primal–dual was fitted to", step
            )
        return images

    def clean(self, images: SpectralImages) -> Array:
        """Return the network's image of each bin of a slice [1/mm], `(S, H, W)`."""
        return clean(self.network, images, self.device)

    def images_with_truth(self, study: Study) -> SpectralImages:
        """Return the study as the network sees it, with its true images.

        Raises:
            ScanweaveError: It has none, or `images` refuses it.
        """
        images = self.images(study)
        if images.truth is None:
            raise ScanweaveError(study.id, "has no true images to compare with", "Leave it out")
        return images
