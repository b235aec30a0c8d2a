"""`scanweave import-weights`: published weights, read safely."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tyro.conf import Positional


@dataclass
class ImportWeights:
    """Take over published weights of a system: unpickled in a process with limits, written as safetensors."""

    system: Positional[str]
    """Whose weights they are."""
    file: Positional[Path]
    """The .pth file."""
    out: Path
    """Folder to make."""

    def run(self) -> int:
        """Convert, and say where the weights are."""
        from scanweave.errors import ScanweaveError
        from scanweave.systems.registry import entry

        about = entry(self.system)
        if "import-weights" not in about.verbs:
            raise ScanweaveError(self.system, "has no published weights that can be imported", "Fit it instead")
        print(f"wrote {import_module(f'{about.module}.reference_weights').import_weights(self.file, self.out)}")
        return 0


COMMAND = ImportWeights
