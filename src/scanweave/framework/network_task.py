"""The shared parts of tasks that train a network; see `scanweave.engine.task.Task`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from scanweave.engine.run import Run
from scanweave.framework.network_memory import NetworkSettings, refuse_untrainable

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")


class NetworkTask:
    """A task whose samples are stacked to batches; the PSNR of the validation chooses the weights unless it says else.

    A system's own task sets `network`, `objective` and `samples`, and says `validate`, and whether it `validates`.
    """

    monitor: str = "psnr"
    higher_is_better: bool = True
    validates: bool = True
    network: Any
    objective: Any
    samples: Any

    def start_weights(self, weights: Mapping[str, Tensor], origin: Run | None) -> Mapping[str, Tensor]:
        """Return what the weights of another network are in this one, before they are fitted to it by their names.

        Args:
            weights: Tensors by name.
            origin: The run that they come from; None where they are a file alone.
        """
        return weights

    fixed_outputs: tuple[str, ...] = ("head",)
    """Submodules of the network whose outputs no pruning may change: its answers."""

    def network_inputs(self, batch: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Return what of a batch goes into the network."""
        return batch["image"], batch["present"]

    def whole_pass(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """Return all outputs of a network that any loss reads, so that every layer of it is seen."""
        return network(*inputs)

    def sample_classes(self) -> Sequence[str] | None:
        """Return the classes that "answer" of a sample numbers; None: samples are of no classes."""
        return None

    @staticmethod
    def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Join samples to a batch with a leading axis B."""
        return default_collate(samples)


class NetworkLoss(nn.Module):
    """A network with the function that says its losses; an objective without parameters of its own.

    Args:
        network: What is trained.
        losses: Takes the network and a batch and returns named scalars, of which "loss" is minimised.
    """

    def __init__(self, network: N, losses: Callable[[N, Mapping[str, Tensor]], dict[str, Tensor]]) -> None:
        super().__init__()
        self.network, self.losses = network, losses

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        return self.losses(self.network, batch)


def seeded_network(config: NetworkSettings, make: Callable[[], N]) -> N:
    """Return a network to train, whose first weights depend on the seed of the training alone.

    Args:
        config: Every setting of the fit; `config.training` has the seed. Torch's own generator is left as it was.
        make: Makes the network.

    Raises:
        ScanweaveError: Memory cannot hold it, with what its training takes.
    """
    with torch.random.fork_rng(devices=[]):
        refuse_untrainable(make, config)
        torch.manual_seed(config.training.seed)
        return make()


def shuffled_place(seed: int, number: int, count: int) -> int:
    """Return which of `count` studies draw `number` takes: each once before any comes again, in ever new order."""
    epoch, place = divmod(number, count)
    return int(_shuffled(seed, epoch, count)[place])


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of `count` studies in an epoch: made once, since of many studies it takes milliseconds."""
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def sample_chance(seed: int, index: int) -> np.random.Generator:
    """Return the source of chance of training sample `index`, the same whenever and wherever it is read."""
    return np.random.default_rng([seed, 1, index])


def some_scans(
    there: Sequence[bool], rng: np.random.Generator, share: float, *, order_first: bool = False
) -> list[bool]:
    """Draw which of the scans that are there a sample shows, one at least.

    Args:
        there: Whether each scan of the run was acquired.
        rng: The sample's own source of chance.
        share: Share of samples that lose scans.
        order_first: Whether the order of scans is drawn before their number. Either is as good; a system keeps to one,
            so that its earlier runs go on with the samples that they began with.
    """
    if sum(there) < 2 or rng.random() >= share:
        return list(there)
    places = np.flatnonzero(there)
    order = rng.permutation(places) if order_first else None
    count = int(rng.integers(1, len(places)))
    chosen = (rng.permutation(places) if order is None else order)[:count]
    return [number in chosen for number in range(len(there))]


def draw_study(studies: Sequence[T], seed: int, index: int) -> tuple[T, np.random.Generator]:
    """Return the study that training sample `index` is of, and the source of chance of all else about the sample."""
    return studies[shuffled_place(seed, index, len(studies))], sample_chance(seed, index)
