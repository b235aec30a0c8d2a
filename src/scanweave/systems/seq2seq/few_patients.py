"""The start of a fit to few patients: from the model that ships, where it fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from scanweave.engine.run import Run
from scanweave.engine.weight_sources import BUILTIN, find_run, has_builtin
from scanweave.files import is_plain
from scanweave.framework.cohort_fit import CONFIG, PLAN, ensure_splits
from scanweave.framework.fitted_run import fitted_config
from scanweave.studies.cohort import Cohort
from scanweave.studies.preparing.plan import Plan
from scanweave.systems.seq2seq.config import Seq2SeqConfig
from scanweave.wording import count

FEW_PATIENTS = 10
"""Training patients below which a fit begins from the model that ships: our choice. From so few, what is learnt of a
lesion or of a scanner is learnt from one or two patients; where there are more, a fit need not depend on other data."""
MODEL = "brain"


def with_start(
    cohort: Cohort, config: Seq2SeqConfig, names: Sequence[str], run: Path, fold: int, say: Callable[[str], None]
) -> Seq2SeqConfig:
    """Return the settings, with the model that ships as their start where few patients train and it fits.

    It fits where its network has the same sizes and it knows all sequences. What the user says of the start stands, and
    a fit goes on as it began, whatever has been installed or imported since.

    Args:
        cohort: What is learnt from.
        config: Every setting.
        names: The sequences to learn.
        run: The run folder.
        fold: Which fold of the cohort's splits trains.
        say: Takes the choice in a line.
    """
    if config.start.source:
        return config
    source = BUILTIN + MODEL
    if is_plain(run / CONFIG):
        begun = Run.open(run).config.get("start", {})
        chosen = isinstance(begun, dict) and begun.get("source") == source
        return _started(config, source) if chosen else config
    if not has_builtin(MODEL) or not _fits(find_run(source), config, names):
        return config
    if fold and cohort.splits() is None:
        return config  # the fit is refused for it in a moment
    ensure_splits(cohort, say)
    patients = len(cohort.part("train", fold).patients)
    if patients >= FEW_PATIENTS:
        return config
    told = count(patients, "training patient", "training patients")
    say(f"start: {source}, for {told} (fewer than {FEW_PATIENTS}); --from none begins at random")
    return _started(config, source)


def _fits(model: Run, config: Seq2SeqConfig, names: Sequence[str]) -> bool:
    if model.record.get("system") != "seq2seq":
        return False
    before = fitted_config(model, Seq2SeqConfig).network
    same = before.model_copy(update={"recompute": config.network.recompute}) == config.network
    return same and set(names) <= set(Plan.load(model.folder / PLAN).scans)


def _started(config: Seq2SeqConfig, source: str) -> Seq2SeqConfig:
    return config.model_copy(update={"start": config.start.model_copy(update={"source": source})})
