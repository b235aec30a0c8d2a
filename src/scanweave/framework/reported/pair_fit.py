"""A fit to images and their reports: which studies, how they are read, and the plan of the run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from scanweave.engine.run import kept_steps
from scanweave.engine.saved_encoder import FILE as ENCODER
from scanweave.engine.saved_encoder import SavedEncoder
from scanweave.engine.task import Task
from scanweave.engine.weights import with_weights
from scanweave.errors import ScanweaveError
from scanweave.framework.classification import operating_points
from scanweave.framework.classification.question import Question, shares_of
from scanweave.framework.cohort_fit import CohortFit, ensure_splits
from scanweave.framework.reported.pair_plan import FILE, PairPlan
from scanweave.framework.reported.pair_reader import PairReader
from scanweave.framework.reported.prompts import Prompts, prompts_of
from scanweave.framework.reported.settings import PairConfig
from scanweave.framework.reported.study_texts import COLUMNS, StudyText, texts_of
from scanweave.framework.reported.text_plan import plan_text
from scanweave.framework.reported.text_weights import fill_text_encoder
from scanweave.framework.reported.tokens import FILE as TOKENIZER
from scanweave.framework.reported.tokens import PADDING, ReportTokenizer
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.framework.scan_preparation import PreparedParts, chosen_scans, prepare_parts, scan_columns
from scanweave.framework.system import Material
from scanweave.framework.whole_images.encoder import encoder_options
from scanweave.framework.whole_images.planning import InputPlan, plan_input, planned_encoder
from scanweave.nets.text_encoder import TextEncoder
from scanweave.studies.cohort import Cohort
from scanweave.studies.columns import columns_of
from scanweave.studies.preparing.prepared_cache import CachedStudy
from scanweave.wording import count, listed, studies

C = TypeVar("C", bound=PairConfig)
Say = Callable[[str], None]
Texts = Mapping[str, StudyText]


class Pairs(NamedTuple):
    """Hold what a network learns from.

    Attributes:
        parts: Prepared studies.
        plan: Findings, images and reports.
        tokenizer: Cuts reports.
        texts: Reports of all studies.
        answers: What is known of the findings of the validation studies `(N, K)`.
    """

    parts: PreparedParts
    plan: PairPlan
    tokenizer: ReportTokenizer
    texts: Texts
    answers: NDArray[np.float64]


def choose_pairs(cohort: Cohort, config: PairConfig, say: Say) -> Material:
    """Choose the studies with an image and a report that says something.

    Raises:
        ScanweaveError: There are no reports, or a setting of text or prompts is at fault.
    """
    names = chosen_scans(cohort, config.scans)
    if not columns_of(cohort.frame.columns, *COLUMNS):
        step = "Import their reports: scanweave cohort import --help"
        raise ScanweaveError(cohort.folder, "has no reports", step)
    prompts_of(config.prompts, cohort, config.text.language)  # here, since what follows may take hours
    if config.text.weights is not None:
        ReportTokenizer.of_folder(config.text.weights, config.text.most_tokens)
    plan_text(config.text, pieces=1, padding=0)
    ensure_splits(cohort, say)
    columns = scan_columns(names)
    seen = cohort.frame[columns].notna().any(axis=1)
    texts, absent = texts_of(cohort, config.text.sections, config.text.language)
    _tell_left_out(int((~seen).sum()), absent, say)
    files = [one.heading for one in columns_of(cohort.frame.columns, "report")]
    return Material(cohort.where(seen & cohort.frame["study"].isin(list(texts))), [*columns, *files])


def prepare_pairs(fit: CohortFit[C], kind: tuple[int, str], usual: Collection[str]) -> Pairs:
    """Prepare images, cut reports, and plan the run; one process does it first.

    Args:
        fit: The fit.
        kind: Dimensions of the images that the system reads, and what it says to others.
        usual: Encoders that its presets name.

    Raises:
        ScanweaveError: There are fewer than two pairs to train on, or images of other dimensions.
    """
    config, scans = fit.config, chosen_scans(fit.cohort, fit.config.scans)
    with fit.one_first():
        texts, _ = texts_of(fit.cohort, config.text.sections, config.text.language)
        seed = config.training.seed
        parts = prepare_parts(fit, fit.sound(), scans, config.preparation, seed, standard=True, own_grids=True)
        if len(parts.training) < 2:
            raise ScanweaveError(fit.cohort.folder, "has fewer than two pairs to train on", "Split it otherwise")
        tokenizer = _tokenizer(fit, [texts[study.id] for study in parts.training])
        plan = fit.plan(PairPlan.load, lambda: _plan(fit, parts, tokenizer, texts, kind, usual), FILE)
        _offer_encoder(fit, plan)
    return Pairs(parts, plan, tokenizer, texts, known_findings(fit.cohort, plan.question, parts.validation))


def train_pairs(fit: CohortFit[C], pairs: Pairs, task: Task, text: TextEncoder) -> None:
    """Train, from the user's own BERT if there is one, and choose the operating points.

    Args:
        fit: The fit.
        pairs: What is learnt from.
        task: Its task.
        text: The part of its network that reads.
    """
    if fit.config.text.weights is not None and not kept_steps(fit.run.checkpoints):
        fit.say(fill_text_encoder(text, fit.config.text.weights))
    rising, steps = getattr(fit.config.objective, "warm_in", 0), fit.config.training.steps
    if rising > steps / 2:
        fit.say(f"note: of {steps} steps, terms but that of pairs rise for {rising} (objective.warm_in): lower it")
    fit.train(task)
    with fit.one_first():
        names = [study.id for study in pairs.parts.validation]
        network = task.network
        operating_points.freeze_points(
            fit, pairs.plan, names, pairs.answers, lambda: _validation_shares(fit, pairs, network)
        )


def known_findings(cohort: Cohort, question: Question, part: Sequence[CachedStudy]) -> NDArray[np.float64]:
    """Return what is known of the findings of some studies `(N, K)`; NaN where the cohort does not tell."""
    frame = cohort.frame.set_index("study", drop=False).loc[[study.id for study in part]]
    absent = {f"label:{name}": None for name in question.labels if f"label:{name}" not in frame}
    return question.answers(frame.assign(**absent)) if len(frame) else np.zeros((0, len(question.labels)))


def _tell_left_out(images: int, absent: Mapping[str, str], say: Say) -> None:
    """Tell how many studies lack what."""
    if images:
        say(f"left out: {studies(images)} without any of the images")
    for reason in dict.fromkeys(absent.values()):
        names = [name for name, why in absent.items() if why == reason]
        say(f"left out: {studies(len(names))} ({names[0]}{', …' if len(names) > 1 else ''}): {reason}")


def _tokenizer(fit: CohortFit[C], texts: Sequence[StudyText]) -> ReportTokenizer:
    """Return the tokenizer of the run, read if it is there, else made from the training reports, or a BERT's."""
    path, settings = fit.run.folder / TOKENIZER, fit.config.text
    if path.exists():
        return ReportTokenizer.load(path, settings.most_tokens)
    if settings.weights is not None:
        made = ReportTokenizer.of_folder(settings.weights, settings.most_tokens)
    else:
        words = (" ".join(one.sentences) for one in texts)
        made = ReportTokenizer.of_texts(words, settings.vocabulary, settings.most_tokens)
    if fit.run.main:
        made.save(path)
    return made


def _plan(
    fit: CohortFit[C],
    parts: PreparedParts,
    tokenizer: ReportTokenizer,
    texts: Texts,
    kind: tuple[int, str],
    usual: Collection[str],
) -> PairPlan:
    """Return the findings, the input and the reports that the settings and the training studies settle."""
    config = fit.config
    shape = _input(parts, config, kind)
    encoder, told = planned_encoder(config.start, config.network.encoder, usual, shape.dimensions)
    prompts = prompts_of(config.prompts, fit.cohort, config.text.language)
    question = Question("findings", tuple(prompts), tuple(prompts), "ignore")
    answers = known_findings(fit.cohort, question, parts.training)
    known = ~np.isnan(answers).all(axis=0)
    shares = np.where(known, shares_of(answers, question), 0.5) if prompts else np.zeros(0)
    return PairPlan(
        kind="findings",
        labels=question.labels,
        outputs=question.outputs,
        uncertain=question.uncertain,
        shares=tuple(shares.tolist()),
        scans=tuple(parts.plan.scans),
        encoder=encoder,
        text=plan_text(config.text, tokenizer.pieces, tokenizer.special[PADDING]),
        prompts=prompts,
        drafts=config.objective.draft > 0,
        **{**shape._asdict(), "reasons": (*_reasons(parts, tokenizer, texts, prompts), *shape.reasons, *told)},
    )


def _input(parts: PreparedParts, config: PairConfig, kind: tuple[int, str]) -> InputPlan:
    grids = [study.grids for study in parts.training]
    spacing = parts.plan.spacing or grids[0][0].working.spacing
    shape = plan_input([frame.shape for frames in grids for frame in frames], spacing, config.network)
    dimensions, said = kind
    if shape.dimensions != dimensions:
        what = "films" if shape.dimensions == 2 else "volumes"
        raise ScanweaveError("scans", f"are {what}, and {said}", "Name others by --scans")
    return shape


def _reasons(parts: PreparedParts, tokenizer: ReportTokenizer, texts: Texts, prompts: Prompts) -> tuple[str, ...]:
    """Return what is known of the reports and the findings, a line each."""
    own = [texts[study.id] for study in parts.training]
    copies = len(own) - len({one.key for one in own})
    cut = sum(not tokenizer.fits(one.sentences) for one in own)
    named = f"{', '.join(prompts)}, told by sentences: no label is learnt from"
    said = {name: tokenizer.unknown(" ".join((*one.present, *one.absent))) for name, one in prompts.items()}
    doubts = [
        f"note: hardly a report has the words {listed(sorted(set(words)))}, by which {name} is told"
        for name, words in said.items()
        if words
    ]
    findings = named if prompts else "none are told, since neither a file nor a label names any"
    long = f"{count(cut, 'report')} cut off after {tokenizer.most_tokens} of them"
    return (
        f"reports: {count(len(own), 'report')} to learn from; {copies} say the same as another",
        f"tokenizer: {count(tokenizer.pieces, 'piece')} of words; {long}",
        f"findings: {findings}",
        *doubts,
    )


def _offer_encoder(fit: CohortFit[C], plan: PairPlan) -> None:
    """Write what other systems make the encoder of images by."""
    if fit.run.main:
        settings, axes = fit.config.network, "YX" if plan.dimensions == 2 else "ZYX"
        options = encoder_options(plan, settings)
        own = SavedEncoder(name=settings.encoder, options=options, dimensions=plan.dimensions, axes=axes)
        (plan.encoder or own).save(fit.run.folder / ENCODER)


def _validation_shares(fit: CohortFit[C], pairs: Pairs, network: nn.Module) -> NDArray[np.float64]:
    """Return the probabilities of the validation studies by the weights that were kept `(N, K)`."""
    plan, validation = pairs.plan, pairs.parts.validation
    if not plan.outputs or not validation:
        return np.zeros((len(validation), len(plan.outputs)))
    crop = fit.config.sampling.crop
    reader = PairReader(with_weights(network.cpu(), fit.run.weights), plan, pairs.tokenizer, crop)
    images = reader.images({name: one.volume(name)[:] for name in one.names} for one in validation)
    directions = prompt_directions(plan.prompts, reader.sentences)
    return zero_shot_shares(images, directions, fit.config.objective.temperature)
