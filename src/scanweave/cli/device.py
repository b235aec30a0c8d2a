"""`scanweave device`: what exported networks cost on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass
class Device:
    """Measure an exported network on this machine: size, memory, latency; beside another, such as the unpruned one."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """File of scanweave export, or another ONNX file."""
    against: Annotated[tuple[Path, ...], arg(metavar="FILE …", help_behavior_hint="")] = ()
    """Files to measure by turns with it."""
    threads: tuple[int, ...] = (1,)
    """Numbers of threads to compute on."""
    passes: int = 20
    """Passes of each file in a round."""
    rounds: int = 5
    """Rounds; in each, every file takes its turn in a process of its own."""
    json: Path | None = None
    """File for the figures as JSON."""
    page: bool = False
    """Serve a page that runs FILE in a browser, such as that of a phone, in place of measuring it here."""
    port: int = 0
    """Port of the page; a free one if not given."""

    def run(self) -> int:
        """Measure and print, or serve the page until it is stopped."""
        if self.page:
            from scanweave.web.guard import new_token
            from scanweave.web.phone_page import phone_app
            from scanweave.web.serving import serve

            token = new_token()
            serve(phone_app([self.file, *self.against], token), self.port, token)
            return 0
        from scanweave.devices import measure_device, table_of

        found = measure_device([self.file, *self.against], self.threads, self.passes, self.rounds, self.json)
        print("\n".join(table_of(found)))
        return 0


COMMAND = Device
