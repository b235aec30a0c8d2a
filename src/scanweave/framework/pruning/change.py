"""A fit whose network begins as that of another run, with fewer channels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch

from scanweave.engine.run import Run, kept_steps
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256, is_plain, write_json
from scanweave.framework.network_task import NetworkTask
from scanweave.framework.pruning.pruned_run import FILE, as_pruned, narrow_as
from scanweave.framework.pruning.rankings import channel_scores
from scanweave.framework.pruning.settings import WITHOUT_SAMPLES, PruneSettings
from scanweave.framework.pruning.structure import Pruned, largest_difference, masked, prune_to
from scanweave.nets.pruned_widths import narrow, widths_of

_OWN = {"config.json", "run.json", "inputs.json", "cohort.json", "outputs.json", "operating_points.json", FILE}
"""Files of a run that are no plan: the new run writes its own."""
_EXACT = 1e-4
"""Largest difference of the pruned network from the same one with zeros, against its largest output."""
_SEARCHED = 20
"""Samples that are looked through for one that calibrates, at most: of rare classes there are few."""
Say = Callable[[str], None]


class PrunedStart:
    """Begin a fit with the pruned network of another run; see `framework.system.NetworkChange`.

    Args:
        parent: The run.
        settings: What goes, and by which ranking.
        batch: Samples that rankings look at at once.
    """

    def __init__(self, parent: Run, settings: PruneSettings, batch: int) -> None:
        self.parent, self.settings, self.batch = parent, settings, batch

    @property
    def about(self) -> dict[str, Any]:
        """Settings and parent: the same call goes on, another one is refused."""
        return {
            "parent": str(self.parent.folder.absolute()),
            "weights_sha256": file_sha256(self.parent.weights),
            **self.settings.model_dump(mode="json"),
        }

    def begin(self, run: Run) -> None:
        """Give a run that has just begun the plans of its parent.

        Raises:
            ScanweaveError: The run was begun by another call.
        """
        known = run.record.get("pruning")
        if known is not None and known != self.about:
            raise ScanweaveError(run.folder, "holds another pruning", "Choose another folder, or remove it")
        if known is None and run.main:
            for path in self.parent.folder.glob("*.json"):
                if path.name not in _OWN and is_plain(path) and not (run.folder / path.name).exists():
                    shutil.copyfile(path, run.folder / path.name)
            run.note(pruning=self.about)

    def change(self, task: NetworkTask, run: Run, say: Say) -> None:
        """Make the network of a task that of the parent, pruned; of a run that goes on, as it was left."""
        path = run.folder / FILE
        if path.is_file() and kept_steps(run.checkpoints):  # weights come from the checkpoint
            as_pruned(task.network, path)
            return
        narrow_as(task.network, self.parent)
        with_weights(task.network, self.parent.weights)
        made = self._pruned(task, say)
        weights, widths = made.network.state_dict(), widths_of(made.network)
        shapes = {name: list(value.shape) for name, value in weights.items()}
        narrow(task.network, widths, shapes)  # in place: the objective holds the network
        task.network.load_state_dict(weights)
        told = {"ranking": self.settings.ranking, "share": made.share, "flops": [made.before, made.after]}
        if run.main:
            write_json(path, {**told, "channels": made.kept, "widths": widths, "shapes": shapes})
        left = made.after / made.before
        say(
            f"pruned by {self.settings.ranking}: {100 * left:.1f} % of the multiply-adds are left "
            f"(asked {100 * self.settings.flops:g} %), and {100 * (1 - made.share):.0f} % of the channels of each layer"
        )

    def _pruned(self, task: NetworkTask, say: Say) -> Pruned:
        """Return the pruned network, after trying that it is what it should be.

        Raises:
            ScanweaveError: It cannot be pruned soundly.
        """
        where, network = str(self.parent.folder), task.network.eval()
        looks = self.settings.ranking not in WITHOUT_SAMPLES
        batches = calibration(task, self.settings.images if looks else 1, self.batch, balanced=looks)
        if looks:
            say(f"ranking: {self.settings.ranking}, by {sum(len(one['case']) for one in batches)} training samples")
        scores = channel_scores(network, task.objective.eval(), batches, self.settings.ranking, self.settings.seed)
        if not scores:
            reason = f"{self.settings.ranking} says nothing of this network: it has no batch norm"
            raise ScanweaveError("ranking", reason, "Give --ranking l1, or beta")
        inputs = tuple(one[:1] for one in task.network_inputs(batches[0]))
        made = prune_to(network, inputs, scores, self.settings.flops, task.fixed_outputs, task.whole_pass, where)
        with torch.no_grad():
            full = tuple(task.network_inputs(batches[0]))
            twins = masked(network, made.removed), made.network.eval()
            off = largest_difference(*(task.whole_pass(one, full) for one in twins))
        if off > _EXACT:
            reason = f"its pruned network is {off:.1e} off the same one with zeros in place of channels"
            raise ScanweaveError(where, reason, "See docs/systems/betarank.md for what can be pruned")
        return made


def calibration(task: NetworkTask, images: int, batch: int, *, balanced: bool = True) -> list[dict[str, Any]]:
    """Return batches of training samples; of classes, as many samples of each as there are, where they are balanced.

    Raises:
        ScanweaveError: A class is in none of the samples that are looked through.
    """
    classes = task.sample_classes() if balanced else None
    chosen: list[dict[str, Any]] = []
    if classes is None:
        chosen = [task.samples[number] for number in range(images)]
    else:
        most = -(-images // len(classes))
        found: dict[int, list[dict[str, Any]]] = {number: [] for number in range(len(classes))}
        for index in range(_SEARCHED * images):
            if min(map(len, found.values())) >= most:
                break
            sample = task.samples[index]
            own = found[int(sample["answer"][0])]
            if len(own) < most:
                own.append(sample)
        for number, own in found.items():
            if not own:
                reason = f"class {classes[number]} is in none of {_SEARCHED * images} training samples"
                raise ScanweaveError("images", reason, "Give more by --images, or --ranking l1, which needs none")
        chosen = [sample for own in found.values() for sample in own]
    return [task.collate(chosen[start : start + batch]) for start in range(0, len(chosen), batch)]
