"""`scanweave import-weights`: published weights, read safely."""

from __future__ import annotations

from dataclasses import dataclass
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
    """Run folder to make; of mome, a .safetensors file, from which a fit begins (--from)."""

    def run(self) -> int:
        """Convert, and say where the weights are."""
        from scanweave import api

        print(f"wrote {api.import_weights(self.system, self.file, self.out)}")
        return 0


COMMAND = ImportWeights
