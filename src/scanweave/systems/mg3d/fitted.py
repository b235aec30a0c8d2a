"""A fitted MG-3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.studies.study import Study
from scanweave.systems.mg3d.config import Mg3dConfig
from scanweave.systems.mg3d.network import Mg3dNetwork, make_network
from scanweave.systems.mg3d.samples import hidden_blocks

Volume = NDArray[np.float32]


class Filled(NamedTuple):
    """A volume whose hidden blocks were filled in.

    Attributes:
        image: As the network takes it `(X, Y, Z)`.
        hidden: Which of its voxels were hidden.
        made: With each report, the volume with hidden voxels filled in.
        errors: With each report, the mean squared error of hidden voxels.
        spacing: Of its voxels [mm].
    """

    image: Volume
    hidden: NDArray[np.bool_]
    made: list[Volume]
    errors: list[float]
    spacing: tuple[float, float, float]


class FittedMg3d(FittedPairs[Mg3dConfig]):
    """A fitted MG-3D; see `FittedPairs`."""

    config_class = Mg3dConfig

    @property
    def looks_for_words(self) -> bool:
        """Tell whether hidden words were guessed from volumes."""
        return self.config.objective.pieces > 0

    def new_network(self) -> Mg3dNetwork:
        """Return its network with random weights."""
        return make_network(self.plan, self.config.network)

    def filled(self, study: Study, reports: Sequence[Sequence[str]], seed: Sequence[int]) -> Filled:
        """Hide blocks of a study's first volume, and fill them in by each of some reports.

        Args:
            study: Holds a volume of the run.
            reports: Sentences of each.
            seed: Of what is hidden, the same for every report.

        Raises:
            ScanweaveError: It holds no volume of the run.
        """
        prepared = self.prepared(study)
        name, volume = next(iter(prepared.volumes.items()))
        image = self.reader.scan(volume, name)
        hidden = hidden_blocks(self.plan.size, self.config.sampling, np.random.default_rng(seed))
        network: Mg3dNetwork = self.reader.network
        with torch.inference_mode():
            found = network.read(self.reader.pieces(reports))
            every = image.expand(len(reports), -1, -1, -1, -1)
            covered = hidden.to(image.device).expand(len(reports), -1, -1, -1)
            made = torch.where(covered[:, None], network.filled(every, covered, found), every)
        errors = (made - every)[:, 0][covered].view(len(reports), -1).square().mean(dim=1)
        whole = image[0, 0].cpu().numpy()
        turned = [one[0].cpu().numpy().T for one in made]
        x, y, z = (
            step * edge / seen
            for step, edge, seen in zip(prepared.frames[name].working.spacing, volume.shape, whole.T.shape, strict=True)
        )
        usual = zip(self.preparation.settings.orientation, "RAS", strict=True)
        flips = tuple(axis for axis, (one, other) in enumerate(usual) if one != other)
        shown, where, *filled = (np.flip(one, flips) for one in (whole.T, hidden.numpy().T, *turned))
        return Filled(shown, where, filled, errors.double().cpu().tolist(), (x, y, z))
