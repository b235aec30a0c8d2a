"""The weights that a run has learnt so far: of a fit that was stopped, or that goes on in another process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scanweave.errors import ScanweaveError
from scanweave.files import is_plain

if TYPE_CHECKING:
    from torch import Tensor

    from scanweave.engine.checkpoint import Checkpoints, State
    from scanweave.engine.run import Run

Checkpoint = Literal["newest", "best"]
"""The last checkpoint, or the one that was best in the validation."""
OBJECTIVE = "network."
"""Prefix of the network's tensors in a checkpoint, which keeps the whole objective."""


def at_checkpoint(run: Run, which: Checkpoint) -> Run:
    """Return a run whose weights are those of a checkpoint, written into its folder as `weights-<which>.safetensors`.

    As at the end of a fit the moving average counts where one is kept.

    Args:
        run: A run that was begun.
        which: The checkpoint.

    Raises:
        ScanweaveError: There is none yet, or all are damaged.
    """
    from safetensors.torch import load_file

    from scanweave.engine.checkpoint import START, Checkpoints, read_state, read_tensors, write_weights

    if which not in ("newest", "best"):
        raise ScanweaveError("checkpoint", f"there is no '{which}'", "Choose newest or best")
    store = Checkpoints(run.checkpoints, lambda line: None)
    newest = store.newest_valid()
    if newest is None:
        reason = "has no checkpoint yet" if run.record.get("stage") is None else "is trained in stages"
        raise ScanweaveError(run.folder, reason, "Let the fit go on; the same command continues it")
    state = read_state(newest)
    path = newest if which == "newest" else _best(run, store, state)
    groups = read_tensors(path)
    made = {**groups.get("network", {}), **groups.get("ema", {})}
    begun: dict[str, Tensor] = load_file(run.checkpoints / START) if is_plain(run.checkpoints / START) else {}
    frozen = {name.removeprefix(OBJECTIVE): value for name, value in begun.items() if name.startswith(OBJECTIVE)}
    found = run.with_weights(run.folder / f"weights-{which}.safetensors")
    step = state.step if which == "newest" else state.best_step
    write_weights(found.weights, {**frozen, **made}, {"weights": which, "step": step})
    return found


def _best(run: Run, store: Checkpoints, state: State) -> Path:
    from scanweave.engine.checkpoint import damage

    path = None if state.best_step is None else store.path("best", state.best_step)
    if path is None or damage(path) is not None:
        reason = "was not validated yet" if path is None else "has lost its best weights"
        raise ScanweaveError(run.folder, reason, "Use --checkpoint newest")
    return path
