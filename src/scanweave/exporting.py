"""The verb `export` in Python: the network of a run as an ONNX file, checked against the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

import scanweave
from scanweave.engine.run import Run
from scanweave.engine.weight_sources import find_run
from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_write
from scanweave.framework.exporting.model_file import SUFFIX, About, ModelFile
from scanweave.studies.cohort import Cohort
from scanweave.systems import registry
from scanweave.wording import studies as counted

if TYPE_CHECKING:
    from scanweave.framework.exporting.graph import Feeds, Graph

Say = Callable[[str], None]
VERB, PROGRAM = "export", ".pte"
"""Name of the verb; ending of programs for ExecuTorch."""
MODULES = {
    SUFFIX: (("onnxscript", "deploy"), ("onnxruntime", "deploy")),
    PROGRAM: (("executorch.exir", "mobile"), ("executorch.runtime", "mobile")),
}
"""What each kind of file needs, and the optional group that installs it."""
MOST_DIFFERENCE = 1e-4
"""Largest difference from the run that a file may have, in shares of the output's range."""
MEBIBYTE = 2**20


class Computes(Protocol):
    """Interface of a file that computes what its graph does."""

    def computed(self, feeds: Feeds) -> list[NDArray[np.float32]]:
        """Return what it computes of inputs by name."""


@dataclass(frozen=True)
class Exported:
    """The outcome of `export`.

    Attributes:
        path: The file.
        difference: Largest difference from the run, in shares of the output's range; NaN: no study was at hand.
        studies: Of how many studies.
        targets: What `predict` makes of it; none: it holds the network alone.
    """

    path: Path
    difference: float
    studies: int
    targets: tuple[str, ...]


def export(
    run: str | Path,
    out: str | Path,
    *,
    int8: bool = False,
    opset: int = 20,
    cohort: Cohort | str | Path | None = None,
    studies: int = 16,
    say: Say = print,
) -> Exported:
    """Write the network of a run as an ONNX file, or as a program for ExecuTorch, and compare it on studies.

    Args:
        run: A finished run.
        out: The file, which ends with .onnx, or with .pte for ExecuTorch.
        int8: Whether convolutions and linear layers compute in int8; their ranges are taken from training studies.
        opset: Version of ONNX's operators.
        cohort: Studies to compare on; None: the run's own cohort, where it is still at hand.
        studies: How many of them, at most.
        say: Takes one line for each result.

    Raises:
        ScanweaveError: The system's networks cannot be exported, the file ends otherwise, the fp32 file computes
            something else than the run, or int8 is asked for and no study is at hand.
    """
    from scanweave.framework.exporting.onnx_writing import check_opset, write_int8, write_onnx

    path = _checked(Path(out), studies)
    for_phones = path.suffix.lower() == PROGRAM
    for module, group in MODULES[path.suffix.lower()]:
        require(module, group)
    if for_phones and int8:
        raise ScanweaveError("int8", "is not written for ExecuTorch", "Leave it out, or name model.onnx")
    check_opset(opset)
    parent = find_run(run).fitted()
    entry = _entry(run, parent)
    fitted = entry.load().open(parent, "cpu")
    graph: Graph = import_module(f"{entry.module}.export").graph_of(fitted)
    feeds = _feeds(graph, parent, cohort, studies, int8, say)
    about = _about(graph, fitted, parent, entry, "int8" if int8 else "fp32")
    if for_phones:
        return _export_program(graph, about, path, feeds, say)
    with tempfile.TemporaryDirectory() as name:
        whole, small = Path(name) / "fp32.onnx", Path(name) / "int8.onnx"
        write_onnx(graph, about, whole, opset)
        found = _difference(graph, ModelFile(whole), feeds)
        _refuse_different(path, found, feeds)
        if int8:
            write_int8(whole, about, small, feeds)
            found = _difference(graph, ModelFile(small), feeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            shutil.copyfile(small if int8 else whole, temporary)
    say(_words(path, found, len(feeds), int8))
    return Exported(path, found, len(feeds), about.targets)


def _export_program(graph: Graph, about: About, path: Path, feeds: list[Feeds], say: Say) -> Exported:
    """Write a program for phones, of the size of the first study, and compare it on studies of that size."""
    from scanweave.framework.exporting.executorch_writing import ProgramFile, write_executorch

    first = feeds[0] if feeds else None
    alike = [one for one in feeds if all(one[name].shape == feeds[0][name].shape for name in graph.inputs)]
    sizes = {name: tuple(one.shape) for name, one in (first or graph.inputs).items()}
    told = about.model_copy(update={"targets": (), "shapes": sizes})
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole.pte"
        write_executorch(graph, told, whole, first)
        found = _difference(graph, ProgramFile(whole, tuple(graph.inputs)), alike)
        _refuse_different(path, found, alike)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            shutil.copyfile(whole, temporary)
    say(_words(path, found, len(alike), int8=False))
    return Exported(path, found, len(alike), ())


def _refuse_different(path: Path, found: float, feeds: Sequence[Feeds]) -> None:
    """Refuse a file that computes something else than the run.

    Raises:
        ScanweaveError: It does, or what it computes is no number.
    """
    if feeds and not found <= MOST_DIFFERENCE:
        reason = f"the file differs from the run by {found:.2g} of the output's range, more than {MOST_DIFFERENCE:g}"
        raise ScanweaveError(path, reason, "Tell us of this run; use it as it is")


def _checked(path: Path, studies: int) -> Path:
    if path.suffix.lower() not in (SUFFIX, PROGRAM):
        reason = f"{path.name} ends with neither {SUFFIX} nor {PROGRAM}"
        raise ScanweaveError("out", reason, "Name a file such as model.onnx, or model.pte for ExecuTorch")
    if path.is_dir():
        raise ScanweaveError(path, "is a folder", "Name a file in it")
    if studies < 1:
        raise ScanweaveError("studies", f"{studies} are too few to compare on", "Give 1 or more")
    return path


def _entry(run: str | Path, parent: Run) -> registry.Entry:
    name = str(parent.record.get("system"))
    entry = registry.entry(name)
    if VERB not in entry.verbs:
        offered = ", ".join(about.name for about in registry.systems().values() if VERB in about.verbs)
        raise ScanweaveError(run, f"networks of {name} cannot be exported", f"Name a run of {offered}")
    return entry


def _feeds(
    graph: Graph, parent: Run, cohort: Cohort | str | Path | None, number: int, needed: bool, say: Say
) -> list[Feeds]:
    """Return the inputs that some studies give: of the run's own cohort, those that it was trained on."""
    named = cohort if cohort is not None else (parent.record.get("cohort") or {}).get("path")
    if cohort is None and (not named or not Path(str(named)).is_dir()):
        if needed:
            raise ScanweaveError("int8", "needs studies, and the cohort of the run is gone", "Name one by --cohort")
        say("the cohort of the run is not at hand: the file was not compared with it; name one by --cohort")
        return []
    whole = named if isinstance(named, Cohort) else Cohort.open(str(named))
    known = set(parent.inputs or ())
    learnt = whole.where(whole.frame["patient"].isin(list(known)))
    found: list[Feeds] = []
    for name in (learnt if len(learnt) else whole).studies:
        try:
            found.append(graph.feeds(whole[name]))
        except ScanweaveError as error:
            say(f"left out: {error}")
        if len(found) == number:
            break
    if not found:
        raise ScanweaveError(whole.folder, "no study of it can be read by the run", "Name another one by --cohort")
    return found


def _about(graph: Graph, fitted: Any, parent: Run, entry: registry.Entry, precision: Any) -> About:
    points = {name: asdict(point) for name, point in getattr(fitted, "points", {}).items()} if graph.targets else {}
    patients = len(parent.inputs or ())
    card = (
        f"{entry.title} by scanweave {parent.record.get('scanweave', scanweave.__version__)}",
        f"learnt from {patients} patients" if patients else "",
        "for research; not a medical device",
    )
    return About(
        version=scanweave.__version__,
        system=entry.name,
        precision=precision,
        targets=graph.targets,
        shapes={name: tuple(one.shape) for name, one in graph.inputs.items()},
        plans=dict(graph.plans),
        settings=dict(graph.settings),
        points=points,
        cautions=fitted.cautions() if graph.targets else {},
        card=tuple(filter(None, card)),
    )


def _difference(graph: Graph, file: Computes, feeds: Sequence[Feeds]) -> float:
    """Return the largest difference of a file from its graph, in shares of the range of each output; NaN: no study."""
    pairs = [list(zip(graph.computed(one), file.computed(one), strict=True)) for one in feeds]
    found: list[float] = []
    for output in zip(*pairs, strict=True):
        values = np.concatenate([ours.ravel() for ours, _ in output])
        span = float(np.ptp(values)) or float(np.abs(values).max()) or 1.0
        found.append(max(float(np.abs(ours - theirs).max()) for ours, theirs in output) / span)
    return float("nan") if not found or np.isnan(found).any() else max(found)


def _words(path: Path, difference: float, studies: int, int8: bool) -> str:
    size = f"wrote {path}: {path.stat().st_size / MEBIBYTE:.1f} MiB"
    if not studies:
        return size
    than = " in fp32" if int8 else ""
    return (
        f"{size}; on {counted(studies)} it differs from the run{than} by at most {difference:.2g} of the output's range"
    )
