"""A network as it goes into a file: what comes in, what comes out, and what must be known to use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from scanweave.studies.study import Study

Feeds = Mapping[str, NDArray[Any]]
"""Arrays by the name of the input that takes them."""


@dataclass(frozen=True)
class Graph:
    """A network ready to be written as a file.

    Attributes:
        module: Takes the inputs in their order, and returns the outputs.
        inputs: An example of each input, by name.
        outputs: Names of what it returns.
        feeds: The inputs that a study gives, for the check against the run.
        moving: Names of the axes of each input whose length may differ, by their place.
        targets: What `predict` makes of the file; none: it holds the network alone.
        plans: Files of the run that say what the numbers mean, by name, as JSON.
        settings: Of the prediction.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    feeds: Callable[[Study], Feeds]
    moving: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    plans: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def computed(self, feeds: Feeds) -> list[NDArray[np.float32]]:
        """Return what the module makes of inputs, in the order of the outputs."""
        import torch

        device = next((one.device for one in self.module.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            made = self.module(*(torch.from_numpy(np.array(feeds[name])).to(device) for name in self.inputs))
        parts = made if isinstance(made, tuple) else (made,)
        return [part.float().cpu().numpy() for part in parts]
