"""`scanweave export`: the network of a run as a file that other programs run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from scanweave.cli.parsing import CohortFolder, RunFolder


@dataclass
class Export:
    """Write the network of a run as an ONNX file, or for phones as an ExecuTorch program, and compare it on studies."""

    folder: Annotated[Positional[RunFolder], arg(name="run", metavar="RUN")]
    """Folder of the run."""
    out: Path
    """File to write: model.onnx, or model.pte for ExecuTorch, at the size of one study and in fp32."""
    int8: bool = False
    """Compute in 8-bit integers: a quarter of the size, and a little less exact."""
    opset: int = 20
    """Version of ONNX's operators."""
    cohort: CohortFolder | None = None
    """Studies to compare on; the run's own cohort if not given."""
    studies: int = 16
    """How many of them, at most."""

    def run(self) -> int:
        """Export, and say what comes next."""
        from scanweave.exporting import export

        given = {name: value for name, value in vars(self).items() if name not in ("folder", "out")}
        made = export(self.folder, self.out, **given)
        if made.path.suffix.lower() == ".pte":
            print("it holds the network alone · next: load it by ExecuTorch's runtime on the device")
        elif made.targets:
            print(f"next: scanweave predict {self.out} --cohort COHORT --out OUT · scanweave device {self.out}")
        else:
            print(f"it holds the network alone, so predict needs the run · next: scanweave device {self.out}")
        return 0


COMMAND = Export
