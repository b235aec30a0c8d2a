"""The simplest ways to make one sequence from others: what Seq2Seq has to beat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import BasicUNet
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scanweave.engine.schedule import learning_rate
from scanweave.engine.settings import TrainingSettings
from scanweave.studies.preparing.preparation import BACKGROUND
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.systems.seq2seq.samples import CropSamples

Volumes = Mapping[str, NDArray[np.float32]]
STACK = 3
"""Slices in a stack, as Seq2Seq takes them."""
RATE = 2e-2
"""Highest learning rate of the U-Net: the best of 1e-3, 4e-3 and 2e-2 on simulated studies that no benchmark uses."""
VOXELS = 20_000
"""Voxels drawn from each training study."""
ROUNDS = 200
"""Trees of a boosted regression: ours, not tuned."""
AT_ONCE = 100_000
"""Voxels whose neighbourhoods are in memory at once."""


def drawn_voxels(
    studies: Sequence[CachedStudy], sources: Sequence[str], target: str, seed: int
) -> Iterator[tuple[dict[str, NDArray[np.float32]], NDArray[np.int64]]]:
    """Yield the volumes of each study that holds all of these sequences, and flat places drawn from its foreground."""
    rng, names = np.random.default_rng(seed), {*sources, target}
    for study in studies:
        if names <= {*study.names}:
            volumes = {name: study.slices(name, 0, study.shape[2]) for name in names}
            inside = np.flatnonzero(volumes[target] > BACKGROUND)
            yield volumes, rng.choice(inside, min(VOXELS, len(inside)), replace=False)


class QuadraticRegression:
    """Voxelwise least squares of a target on all products of up to two sources, in the patient's foreground.

    Args:
        studies: The training studies, prepared.
        sources: What to regress on.
        target: What to make.
        seed: Of the voxels drawn.
    """

    def __init__(self, studies: Sequence[CachedStudy], sources: Sequence[str], target: str, seed: int) -> None:
        self.sources = tuple(sources)
        rows, values = [], []
        for volumes, chosen in drawn_voxels(studies, sources, target, seed):
            rows.append(self._design({name: volumes[name].ravel()[chosen] for name in sources}))
            values.append(volumes[target].ravel()[chosen])
        self.weights = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]

    def __call__(self, volumes: Volumes) -> NDArray[np.float32]:
        """The target, where any source shows the patient; background elsewhere."""
        inside = np.any([volumes[name] > BACKGROUND for name in self.sources], axis=0)
        made = np.full(inside.shape, BACKGROUND, dtype=np.float32)
        made[inside] = self._design({name: volumes[name][inside] for name in self.sources}) @ self.weights
        return np.clip(made, -1, 1)

    def _design(self, values: Volumes) -> NDArray[np.float64]:
        columns = [np.asarray(values[name], dtype=np.float64) for name in self.sources]
        products = [a * b for a, b in combinations_with_replacement(columns, 2)]
        return np.stack([np.ones_like(columns[0]), *columns, *products], axis=1)


class BoostedTrees:
    """Gradient-boosted trees of a target on the 3 × 3 × 3 neighbourhoods of all sources, in the patient's foreground.

    Args:
        studies: The training studies, prepared.
        sources: What to regress on.
        target: What to make.
        seed: Of the voxels drawn.
    """

    def __init__(self, studies: Sequence[CachedStudy], sources: Sequence[str], target: str, seed: int) -> None:
        self.sources = tuple(sources)
        rows, values = [], []
        for volumes, chosen in drawn_voxels(studies, sources, target, seed):
            rows.append(self._neighbours(volumes, np.stack(np.unravel_index(chosen, volumes[target].shape), axis=1)))
            values.append(volumes[target].ravel()[chosen])
        self.model = HistGradientBoostingRegressor(max_iter=ROUNDS, early_stopping=False, random_state=seed)
        with threadpool_limits(1, "openmp"):  # a job has one core
            self.model.fit(np.concatenate(rows), np.concatenate(values))

    def __call__(self, volumes: Volumes) -> NDArray[np.float32]:
        """The target, where any source shows the patient; background elsewhere."""
        inside = np.argwhere(np.any([volumes[name] > BACKGROUND for name in self.sources], axis=0))
        made = np.full(volumes[self.sources[0]].shape, BACKGROUND, dtype=np.float32)
        with threadpool_limits(1, "openmp"):
            for start in range(0, len(inside), AT_ONCE):
                places = inside[start : start + AT_ONCE]
                made[tuple(places.T)] = self.model.predict(self._neighbours(volumes, places))
        return np.clip(made, -1, 1)

    def _neighbours(self, volumes: Volumes, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The values around each of the places `(K, 3)`, `(K, 27 · sources)`."""
        found = []
        for name in self.sources:
            around = sliding_window_view(np.pad(volumes[name], 1, constant_values=BACKGROUND), (3, 3, 3))
            found.append(around[tuple(places.T)].reshape(len(places), -1))
        return np.concatenate(found, axis=1)


def mean_of_sources(volumes: Volumes, target: str) -> NDArray[np.float32]:
    """The mean of all other sequences, each in [-1, 1]."""
    return np.mean([volume for name, volume in volumes.items() if name != target], axis=0, dtype=np.float32)


class ConditionedUNet:
    """A plain U-Net on stacks of all sequences but the target (background where absent) and one-hot planes of it.

    Trained on the samples that Seq2Seq is trained on, as many and of the same size, with the same loss, optimiser,
    schedule, clipping and moving average, at a learning rate of its own.

    Args:
        samples: Training crops; each gives its study, target and box.
        sequences: Names in the order of their numbers.
        settings: Those of the training of Seq2Seq.
        beta: Of SmoothL1.
    """

    def __init__(self, samples: CropSamples, sequences: Sequence[str], settings: TrainingSettings, beta: float) -> None:
        torch.manual_seed(settings.seed)
        self.sequences, self.window = tuple(sequences), (samples.size[1], samples.size[0])
        count = len(self.sequences)
        network = BasicUNet(2, count * STACK + count, STACK, features=(16, 16, 32, 64, 128, 16))
        settings = settings.model_copy(update={"learning_rate": RATE})
        optimizer = torch.optim.Adam(network.parameters(), betas=settings.betas)
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay or 0.0))
        for step in range(settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, step)
            indices = range(step * settings.batch_size, (step + 1) * settings.batch_size)
            drawn = [samples.everything(index) for index in indices]
            inputs = torch.stack([self._input(volumes, to, volumes[to].shape) for volumes, to in drawn])
            made = torch.tanh(network(_padded(inputs)))[..., : inputs.shape[-2], : inputs.shape[-1]]
            real = torch.stack([torch.from_numpy(volumes[to]) for volumes, to in drawn])
            loss = F.smooth_l1_loss(made, real, beta=beta)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm or math.inf)
            optimizer.step()
            average.update_parameters(network)
        self.network = average.module.eval()

    @torch.inference_mode()
    def __call__(self, volumes: Volumes, target: str) -> NDArray[np.float32]:
        """The target from all others, `(X, Y, Z)`: each slice is the mean over the stacks that hold it.

        Slices are made by windows of the trained size, since instance normalisation differs between sizes.
        """
        others = {name: np.ascontiguousarray(v.transpose(2, 1, 0)) for name, v in volumes.items() if name != target}
        depth, height, width = next(iter(others.values())).shape
        edge = STACK - 1
        padded = {
            name: np.pad(v, ((edge, edge), (0, 0), (0, 0)), constant_values=BACKGROUND) for name, v in others.items()
        }
        total = np.zeros((depth + 2 * edge, height, width), dtype=np.float32)
        for row in range(depth + edge):
            stack = {name: volume[row : row + STACK] for name, volume in padded.items()}
            inputs = self._input(stack, target, (STACK, height, width))[None]
            made = sliding_window_inference(inputs, self.window, 8, self._make, overlap=0.25, mode="gaussian")
            total[row : row + STACK] += made[0].numpy()
        return (total[edge : edge + depth] / STACK).transpose(2, 1, 0)

    def _make(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.network(_padded(inputs)))[..., : inputs.shape[-2], : inputs.shape[-1]]

    def _input(self, volumes: Volumes, target: str, shape: tuple[int, ...]) -> torch.Tensor:
        blank = np.full(shape, BACKGROUND, dtype=np.float32)
        planes = [volumes[name] if name in volumes and name != target else blank for name in self.sequences]
        codes = [np.full((1, *shape[1:]), float(name == target), dtype=np.float32) for name in self.sequences]
        return torch.from_numpy(np.concatenate([*planes, *codes]))


def _padded(inputs: torch.Tensor) -> torch.Tensor:
    """Heights and widths that four halvings divide."""
    return F.pad(inputs, (0, -inputs.shape[-1] % 16, 0, -inputs.shape[-2] % 16), value=BACKGROUND)
