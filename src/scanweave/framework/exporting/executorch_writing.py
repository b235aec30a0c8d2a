"""A graph written as an ExecuTorch program, which runs on phones without Python: fp32, by XNNPACK, at one size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.framework.exporting.model_file import About

GROUP, SUFFIX = "mobile", ".pte"
METHOD, ABOUT = "forward", "about"
"""Methods of a program: what the network computes, and an `About` as JSON."""
_FAULTS = (RuntimeError, ValueError, TypeError, KeyError, AssertionError)
"""Raised by ExecuTorch on the way where an operator has no counterpart there."""


def write_executorch(graph: Graph, about: About, path: Path, feeds: Feeds | None = None) -> None:
    """Write a graph as an ExecuTorch program; what XNNPACK knows is computed by it.

    Args:
        graph: The network.
        about: What the program says of itself.
        path: Where to.
        feeds: Inputs whose sizes the program has; None: those of the graph's example.

    Raises:
        ScanweaveError: ExecuTorch is not installed, or cannot run this network.
    """
    exir = require("executorch.exir", GROUP)
    xnnpack = require("executorch.backends.xnnpack.partition.xnnpack_partitioner", GROUP)
    module = graph.module.eval().cpu()
    try:
        with _quiet():
            program = torch.export.export(module, _tensors(graph, feeds))
            methods = {ABOUT: about.model_dump_json()}
            lowered = exir.to_edge_transform_and_lower(
                program, partitioner=[xnnpack.XnnpackPartitioner()], constant_methods=methods
            )
            path.write_bytes(lowered.to_executorch().buffer)
    except _FAULTS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        reason = f"has a network that ExecuTorch cannot hold ({first})"
        raise ScanweaveError(about.system, reason, "Export it as .onnx") from error


def _tensors(graph: Graph, feeds: Feeds | None) -> tuple[torch.Tensor, ...]:
    if feeds is None:
        return tuple(one.cpu() for one in graph.inputs.values())
    return tuple(torch.from_numpy(np.array(feeds[name])) for name in graph.inputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says."""
    logger = logging.getLogger()
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


class ProgramFile:
    """A program in a file, ready to compute on this processor.

    Args:
        path: The file.
        inputs: Names of its inputs, in their order.

    Raises:
        ScanweaveError: ExecuTorch is not installed, or cannot load it.
    """

    def __init__(self, path: Path, inputs: tuple[str, ...]) -> None:
        self.path, self.inputs = path, inputs
        runtime = require("executorch.runtime", GROUP)
        try:
            self._program = runtime.Runtime.get().load_program(path)
            self._method: Any = self._program.load_method(METHOD)
        except _FAULTS as error:
            reason = "has an operator that the runtime here does not know"
            raise ScanweaveError(path, reason, "Export it as .onnx") from error

    @property
    def about(self) -> About:
        """Description that the program holds."""
        return About.model_validate_json(self._program.load_method(ABOUT).execute([])[0])

    def computed(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Return what it computes of inputs by name."""
        made = self._method.execute([torch.from_numpy(np.array(feeds[name])) for name in self.inputs])
        return [one.float().numpy() for one in made]
