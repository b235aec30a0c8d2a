"""A network in an ONNX file, with all that is needed to use it on studies. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from scanweave.errors import ScanweaveError
from scanweave.external import require

SUFFIX = ".onnx"
KEY = "scanweave"
"""Entry of the file's metadata that holds an `About` as JSON."""
STEP = "Export the run again: scanweave export RUN --out FILE"
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class About(BaseModel):
    """Hold what a file says of the network in it.

    Attributes:
        layout: Of this entry.
        version: Of the program that wrote it.
        system: That the run was fitted with.
        precision: Of weights and sums: fp32, or int8.
        targets: What `predict` makes of it; none: it holds the network alone.
        shapes: Of each input, those that it was exported with, by name; some axes may differ.
        plans: Files of the run that say what the numbers mean, by name.
        settings: Of the prediction.
        points: Operating points by class or finding.
        cautions: What is known against a target.
        card: Lines for a reader: what it tells, from whom it learnt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layout: Literal[1] = 1
    version: str
    system: str
    precision: Literal["fp32", "int8"] = "fp32"
    targets: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]]
    plans: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    points: dict[str, dict[str, Any]] = {}
    cautions: dict[str, str] = {}
    card: tuple[str, ...] = ()


class ModelFile:
    """A network in a file, ready to compute on the processor.

    Args:
        path: The file.
        threads: That it computes on; None: all cores.

    Attributes:
        about: What it says of itself; None: another program wrote it.

    Raises:
        ScanweaveError: The file is absent, or no network that this onnxruntime can load; onnxruntime is not installed.
    """

    _kinds: ClassVar[dict[str, Any]] = {
        "tensor(float)": np.float32,
        "tensor(bool)": np.bool_,
        "tensor(int64)": np.int64,
    }

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ScanweaveError(self.path, "there is no such file", STEP)
        runtime = require("onnxruntime", "deploy")
        runtime.set_default_logger_severity(3)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        try:
            self.session = runtime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except _faults(runtime) as error:
            reason = str(error).splitlines()[0].partition(" : ")[2][:200] or "it is damaged"
            raise ScanweaveError(self.path, f"is no network that onnxruntime can load ({reason})", STEP) from error
        self.about = self._about()

    def _about(self) -> About | None:
        text = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            return None
        try:
            return About.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "content"
            raise ScanweaveError(self.path, f"its description is damaged ({where}: {fault['msg']})", STEP) from error

    @property
    def inputs(self) -> dict[str, tuple[tuple[int | str | None, ...], Any]]:
        """Shape and kind of number of each input; an axis whose length may differ has a name."""
        return {one.name: (tuple(one.shape), self._kinds.get(one.type)) for one in self.session.get_inputs()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it computes."""
        return tuple(one.name for one in self.session.get_outputs())

    def computed(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Return what it computes of inputs by name, in the order of `outputs`.

        Raises:
            ScanweaveError: The inputs do not fit.
        """
        try:
            return [np.asarray(one) for one in self.session.run(None, dict(feeds))]
        except _faults(require("onnxruntime", "deploy")) as error:
            raise ScanweaveError(self.path, f"cannot compute ({str(error).splitlines()[0][:200]})", STEP) from error

    def plan(self, name: str, read: Callable[[Any], T]) -> T:
        """Return a file of the run that it holds.

        Args:
            name: Of the file.
            read: Makes the plan of its content.

        Raises:
            ScanweaveError: It holds none of that name, or a damaged one.
        """
        held = {} if self.about is None else self.about.plans
        if name not in held:
            raise ScanweaveError(self.path, f"lacks {name} of the run", STEP)
        try:
            return read(held[name])
        except ValidationError as error:
            raise ScanweaveError(self.path, f"its {name} is damaged ({error.errors()[0]['msg']})", STEP) from error

    def settings(self, kind: type[M]) -> M:
        """Return the settings of the prediction, checked.

        Raises:
            ScanweaveError: They are damaged.
        """
        try:
            return kind.model_validate({} if self.about is None else self.about.settings)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "content"
            raise ScanweaveError(self.path, f"its settings are damaged ({where}: {fault['msg']})", STEP) from error


def _faults(runtime: Any) -> tuple[type[Exception], ...]:
    """Exceptions of the runtime, which share no class of their own."""
    state = runtime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (ValueError, *(getattr(state, name) for name in (*names, "RuntimeException")))


def is_model_file(path: object) -> bool:
    """Tell whether a path names a file of a network and no run."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() == SUFFIX and not Path(path).is_dir()
