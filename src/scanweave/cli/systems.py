"""`scanweave systems`: what there is to fit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from scanweave.systems.registry import systems


@dataclass
class Systems:
    """List the systems, what each answers, and which verbs and presets it has."""

    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the registry."""
        if self.json:
            print(json.dumps([asdict(entry) for entry in systems().values()], indent=2, ensure_ascii=False))
            return 0
        for entry in systems().values():
            print(f"{entry.name} ({entry.wing}): {entry.question}")
            print(f"  verbs    {', '.join(entry.verbs)}")
            print(f"  presets  {', '.join(entry.presets)}")
            print(f"  paper    {entry.paper}" + (f", arXiv {entry.arxiv}" if entry.arxiv else ""))
        print("scanweave audit shortcuts takes runs on films that tell findings: of classify, detect, mome and mgca")
        return 0


COMMAND = Systems
