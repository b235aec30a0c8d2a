"""A graph written as an ONNX file, in fp32 or int8."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.framework.exporting.graph import Feeds, Graph
from scanweave.framework.exporting.model_file import KEY, About

OPSETS, USUAL_OPSET = range(18, 24), 20
"""From the first with an antialiased Resize to the last that torch's exporter was tried with; and its own default."""
QUANTIZED = ["Conv", "Gemm", "MatMul"]
"""What is computed in int8: nearly all of the work, and nothing that a scale of its own would spoil."""


def check_opset(opset: int) -> None:
    """Refuse a version of ONNX's operators that is not written here.

    Raises:
        ScanweaveError: Names those that are.
    """
    if opset not in OPSETS:
        raise ScanweaveError("opset", f"{opset} cannot be written", f"Give {OPSETS[0]} to {OPSETS[-1]}")


def write_onnx(graph: Graph, about: About, path: Path, opset: int = USUAL_OPSET) -> None:
    """Write a graph as one ONNX file, its weights in it.

    Args:
        graph: The network.
        about: What the file says of itself.
        path: Where to.
        opset: Version of ONNX's operators.

    Raises:
        ScanweaveError: torch cannot write this network.
    """
    require("onnxscript", "deploy")
    place = {name: torch.export.Dim(name, min=1) for names in graph.moving.values() for name in names.values()}
    shapes = tuple({at: place[name] for at, name in graph.moving.get(key, {}).items()} for key in graph.inputs)
    module = graph.module.eval().cpu()
    try:
        with _quiet():
            made: Any = torch.onnx.export(
                module,
                tuple(one.cpu() for one in graph.inputs.values()),
                dynamo=True,
                opset_version=opset,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=_told(module, shapes),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = f"has a network that torch cannot write as ONNX ({_last(error)})"
        raise ScanweaveError(about.system, reason, "Export a run with another network.encoder") from error
    _forget_places(made.model)
    made.model.metadata_props[KEY] = about.model_dump_json()
    made.save(str(path), external_data=False)


def _forget_places(model: Any) -> None:
    """Remove what the exporter notes at every node: lines of code, with the folders of this machine."""
    model.metadata_props.clear()
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *graph.outputs):
            value.metadata_props.clear()
    for value in model.graph.initializers.values():
        value.metadata_props.clear()


def _told(module: torch.nn.Module, shapes: tuple[dict[int, Any], ...]) -> Any:
    """Return the moving axes in the form that torch asks for: arguments after a star are one entry."""
    import inspect

    kinds = [one.kind for one in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return shapes
    first = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:first], shapes[first:])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch's exporter prints."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)


def _last(error: BaseException) -> str:
    """Return the first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def write_int8(source: Path, about: About, path: Path, feeds: Sequence[Feeds]) -> None:
    """Write a file whose convolutions and linear layers compute in int8.

    Args:
        source: The file in fp32.
        about: What the new file says of itself.
        path: Where to.
        feeds: Inputs of training studies, from which the ranges of activations are taken.
    """
    require("onnx", "deploy")
    tools = require("onnxruntime.quantization", "deploy")
    onnx = require("onnx", "deploy")

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc,name-defined]  # it has no types
        def __init__(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> Any:
            """Return the next inputs; None at the end."""
            one = next(self.left, None)
            return None if one is None else dict(one)

    with _quiet():
        tools.quantize_static(
            str(source),
            str(path),
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=QUANTIZED,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
    model = onnx.load(str(path))
    kept = [one for one in model.metadata_props if one.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend([*kept, onnx.StringStringEntryProto(key=KEY, value=about.model_dump_json())])
    onnx.save(model, str(path))
