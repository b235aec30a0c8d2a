"""The verb `prune` in Python: a run with a smaller network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scanweave.engine.cohort_parts import splits_digest
from scanweave.engine.settings import checked
from scanweave.engine.weight_sources import find_run
from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import read_json
from scanweave.framework.fitted_run import fitted_config
from scanweave.framework.pruning.change import PrunedStart
from scanweave.framework.pruning.pruned_run import FILE
from scanweave.framework.pruning.settings import PruneSettings
from scanweave.framework.system import System
from scanweave.studies.cohort import Cohort
from scanweave.systems import registry

Say = Callable[[str], None]
VERB = "prune"
MOST_ROUNDS = 20
_SHARE = 4
"""Steps of training after pruning: those of the run over this."""


def prune(
    run: str | Path,
    out: str | Path,
    *,
    cohort: Cohort | str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    rounds: int = 1,
    say: Say = print,
    **settings: Any,
) -> System[Any]:
    """Take channels out of the network of a run, train what is left on the run's own cohort, and return the new run.

    The same call goes on where one was stopped. The new run can be used as any other, and pruned again. In several
    rounds the work shrinks by the same factor each time, with a training after each; the runs between are kept beside
    the last one, as `OUT-round-1` and so on.

    Args:
        run: A finished run.
        out: Folder of the new one.
        cohort: The run's own cohort, where it has moved.
        device: Where to compute: "auto", "cpu", "cuda" or "mps".
        workers: Processes that prepare studies.
        rounds: How often channels are taken out, until the last run has what `flops` says of the first one's work.
        say: Takes one line for each choice made, and why.
        **settings: Fields of `framework.pruning.settings.PruneSettings`: `flops`, `ranking`, `images`, `steps` …

    Raises:
        ScanweaveError: A setting is wrong, the network cannot be pruned, or not so far, the cohort is gone, or as
            `fit`.
    """
    chosen = checked(PruneSettings, settings, VERB)
    require("torch_pruning", "deploy")
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ScanweaveError("rounds", f"{rounds} are not to be had", f"Give 1 to {MOST_ROUNDS}")
    whole, place, left = Path(out), run, 1.0
    for number in range(1, rounds + 1):
        share = chosen.flops ** (number / rounds) / left
        if share >= 1:
            raise ScanweaveError("rounds", f"round {number} has nothing left to cut", "Give fewer rounds")
        own = chosen.model_copy(update={"flops": share})
        here = whole if number == rounds else whole.with_name(f"{whole.name}-round-{number}")
        if rounds > 1:
            say(f"round {number} of {rounds}: {100 * share:.0f} % of the work before it, into {here}")
        made = _pruned_once(place, here, own, cohort, device, workers, say)
        before, after = read_json(here / FILE, "Prune again")["flops"]
        place, left = here, left * after / before
    return made


def _pruned_once(
    run: str | Path,
    out: Path,
    chosen: PruneSettings,
    cohort: Cohort | str | Path | None,
    device: str,
    workers: int,
    say: Say,
) -> System[Any]:
    """Prune a run once, and train it again."""
    parent = find_run(run).fitted()
    name = str(parent.record.get("system"))
    entry = registry.entry(name)
    if VERB not in entry.verbs:
        offered = ", ".join(about.name for about in registry.systems().values() if VERB in about.verbs)
        raise ScanweaveError(run, f"networks of {name} cannot be pruned", f"Name a run of {offered}")
    system = entry.load()
    config = _config(fitted_config(parent, system.config_class), chosen, device)
    whole = _cohort(parent.record, cohort)
    if splits_digest(whole) != parent.config.get("splits"):
        reason = "is divided in another way than for the run: its test patients may be among those that the run saw"
        raise ScanweaveError(whole.folder, reason, "Restore its splits.json, or fit the run again")
    made: System[Any] = system.fit(
        whole,
        out,
        config,
        fold=int(parent.config.get("fold", 0)),
        workers=workers,
        say=say,
        change=PrunedStart(parent, chosen, config.training.batch_size),
    )
    return made


def _config(config: Any, chosen: PruneSettings, device: str) -> Any:
    """Return the settings of the run with those of the training after pruning."""
    training = config.training
    steps = chosen.steps or max(1, training.steps // _SHARE)
    changed = {
        "steps": steps,
        "seed": chosen.seed,
        "device": device,
        "warm_up": min(training.warm_up, steps // 10),
        "validate_every": min(training.validate_every, max(1, steps // 4)),
        "learning_rate": chosen.learning_rate or training.learning_rate,
        "schedule_steps": None,
    }
    start = {"start": type(config.start)()} if hasattr(config, "start") else {}
    return config.model_copy(update={"training": training.model_copy(update=changed), **start})


def _cohort(record: dict[str, Any], given: Cohort | str | Path | None) -> Cohort:
    if given is not None:
        return given if isinstance(given, Cohort) else Cohort.open(given)
    path = Path(str(record.get("cohort", {}).get("path", "")))
    if not path.is_dir():
        raise ScanweaveError(path, "the cohort of the run is not there any more", "Say where it is by --cohort")
    return Cohort.open(path)
