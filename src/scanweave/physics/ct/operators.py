"""CT as a linear operator of deepinv, so that its solvers, priors and denoisers serve as they are."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.physics.ct.fbp import FilteredBackprojection, Window
from scanweave.physics.ct.geometry import CtGeometry
from scanweave.physics.ct.projector import MEMORY_LIMIT, Projector

require("deepinv.physics", "ct")
from deepinv.physics import LinearPhysics  # noqa: E402

Dagger = Literal["fbp", "cg"]


class CtPhysics(LinearPhysics):  # type: ignore[misc]
    """Line integrals of attenuation images: A, Aᵀ and A†, all differentiable.

    Images are `(B, S, H, W)` in 1/mm with S energy bins, sinograms `(B, S, views, detectors)` without unit. A is not
    normalised: step sizes are to be below `2 / norm**2`, and deepinv's optimisers, which start from Aᵀy unless told
    otherwise, are to be given `init` from A†.

    Args:
        geometry: Grid, views and detector.
        dagger: What A† is: filtered backprojection, or least squares by conjugate gradients.
        window: Window of the filtered backprojection.
        memory_limit: Largest sparse matrix that is built [bytes]; see `Projector`.
        **options: What deepinv's `LinearPhysics` takes, such as `noise_model`, `max_iter` or `tol`.

    Example:
        >>> physics = CtPhysics(ParallelGeometry.covering((64, 64), 1.0, even_angles(60)))
        >>> y = physics(torch.rand(1, 1, 64, 64))
        >>> image = physics.A_dagger(y)
    """

    def __init__(
        self,
        geometry: CtGeometry,
        *,
        dagger: Dagger = "fbp",
        window: Window = "ram-lak",
        memory_limit: int = MEMORY_LIMIT,
        **options: Any,
    ) -> None:
        if dagger not in ("fbp", "cg"):
            raise ScanweaveError("dagger", f"unknown inverse {dagger!r}", "Use one of: fbp, cg")
        super().__init__(img_size=(1, *geometry.shape), **options)
        self.geometry = geometry
        self.dagger = dagger
        self.window = window
        self.projector = Projector(geometry, memory_limit=memory_limit)

    def A(self, x: Tensor, **_: Any) -> Tensor:  # noqa: N802
        """Return the line integrals `(B, S, views, detectors)` of `x` `(B, S, H, W)` [1/mm]."""
        return self.projector.forward(x)

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:  # noqa: N802
        """Return Aᵀ y `(B, S, H, W)` of `y` `(B, S, views, detectors)`."""
        return self.projector.adjoint(y)

    def A_dagger(self, y: Tensor, **options: Any) -> Tensor:  # noqa: N802
        """Return the image `(B, S, H, W)` [1/mm] of `y`, by the inverse that was chosen.

        Args:
            y: Line integrals `(B, S, views, detectors)`.
            **options: Those of deepinv's least squares, for `dagger="cg"`.
        """
        if self.dagger == "fbp":
            return self.fbp(y)
        image: Tensor = super().A_dagger(y, **options)
        return image

    @cached_property
    def fbp(self) -> FilteredBackprojection:
        """Filtered backprojection for this scan."""
        return FilteredBackprojection(self.geometry, self.window)

    @cached_property
    def norm(self) -> float:
        """Largest singular value of A [mm], by power iteration from a constant image: A has no negative weight."""
        image, value = torch.ones(1, 1, *self.geometry.shape), 0.0
        with torch.no_grad():
            for _ in range(100):
                image = self.projector.adjoint(self.projector.forward(image / image.norm()))
                before, value = value, float(image.norm()) ** 0.5
                if abs(value - before) <= 1e-5 * value:
                    break
        return value
