"""Verbs that a page can start: what it asks by numbers becomes a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.systems import registry
from scanweave.web.workspace import Workspace, source_of

OUT = "out"
"""Folder of the results in that of a job."""
OF_RUN = ("predict", "evaluate", "rank", "explain", "report", "prune", "export")
OF_COHORT = ("fit", "check")
MAKES_OBJECTS = ("predict", "explain")
"""Verbs that write DICOM objects too, where the cohort comes from DICOM."""
AGAIN = "Load the page again"


class Asked(NamedTuple):
    """Hold a verb as a job.

    Attributes:
        title: In words.
        words: Makes the command of the job's folder.
        out: Name of the folder that it fills; None: none.
        about: What the page has to know of its results.
    """

    title: str
    words: Callable[[Path], list[str]]
    out: str | None
    about: dict[str, Any]


def verbs_of(run: Run) -> list[str]:
    """Return what a page can ask of a run."""
    offered = registry.entry(str(run.record["system"])).verbs
    own_alone = ("report", "prune", "export") if run.shipped else ()  # these write into a run, or stand for one
    return [verb for verb in OF_RUN if verb in offered and verb not in own_alone]


def asked_job(workspace: Workspace, asked: Mapping[str, Any]) -> Asked:
    """Return what a page asks for.

    Args:
        workspace: What there is.
        asked: A verb; numbers of a run and a cohort; of `predict` names of targets and studies; of `fit` names of a
            system and a preset.

    Raises:
        ScanweaveError: Something of it is not there, or the run does not offer the verb.
    """
    verb = str(asked.get("verb", ""))
    if verb in OF_COHORT:
        cohort = workspace.cohort(whole_number(asked.get("cohort")))
        return _fit(cohort, asked) if verb == "fit" else _check(cohort)
    run = workspace.run(whole_number(asked.get("run")))
    if verb not in verbs_of(run):
        raise ScanweaveError("verb", "the run does not offer it", f"Choose one of {', '.join(verbs_of(run))}")
    source, name = source_of(run) if run.shipped else str(run.folder), source_of(run)
    about: dict[str, Any] = {"verb": verb, "run": str(run.folder)}
    if verb == "report":
        folders = [str(one.folder) for one in workspace.results if one.home == run.folder]
        results = ["--results", *folders] if folders else []
        return Asked(f"report of {name}", lambda own: ["report", source, *results], None, about)
    if verb == "prune":
        words = ["prune", source, "--flops", "0.5", "--out"]
        return Asked(f"half of {name}", lambda own: [*words, str(own / f"half-{int(own.name)}")], "half-{job}", about)
    if verb == "export":
        return Asked(
            f"{name} as a file", lambda own: ["export", source, "--out", str(own / OUT / "model.onnx")], OUT, about
        )
    cohort = workspace.cohort(whole_number(asked.get("cohort")))
    about["cohort"] = str(cohort.folder)
    words, title = [verb, source, "--cohort", str(cohort.folder)], f"{verb} by {name}"
    if verb == "predict":
        targets = chosen(asked.get("targets"), registry.entry(str(run.record["system"])).plan(run.folder).targets)
        studies = chosen(asked.get("studies"), cohort.studies)
        words += ["--targets", *targets] if targets else []
        words += ["--studies", *studies] if studies else []
        title += f": {', '.join(targets) or 'what is absent'}, {', '.join(studies) or 'all studies'}"
    if verb in MAKES_OBJECTS and (private := identities_of(cohort)) is not None:
        words += ["--dicom", str(private)]
    return Asked(title, lambda own: [*words, "--out", str(own / OUT)], OUT, about)


def _fit(cohort: Cohort, asked: Mapping[str, Any]) -> Asked:
    systems = {one["name"]: one for one in systems_told()}
    system, preset = str(asked.get("system", "")), str(asked.get("preset", ""))
    if system not in systems or preset not in systems[system]["presets"]:
        raise ScanweaveError("fit", "there is no such system or preset", AGAIN)
    words = ["fit", system, "--cohort", str(cohort.folder), "--preset", preset]

    def command(own: Path) -> list[str]:
        return [*words, "--run", str(own / f"{system}-{int(own.name)}")]

    return Asked(f"fit {system} ({preset})", command, f"{system}-{{job}}", {"verb": "fit"})


def _check(cohort: Cohort) -> Asked:
    return Asked("check", lambda own: ["cohort", "check", str(cohort.folder)], None, {"verb": "check"})


def systems_told() -> list[dict[str, Any]]:
    """Return the systems that can be fitted, with their presets."""
    return [
        {"name": one.name, "title": one.title, "question": one.question, "presets": list(one.presets)}
        for one in registry.systems().values()
        if "fit" in one.verbs and one.presets
    ]


def identities_of(cohort: Cohort) -> Path | None:
    """Return the private file of a cohort's import where it lies beside it; None: it does not."""
    path = cohort.folder.with_name(f"{cohort.folder.name}.identities.json")
    return path if path.is_file() else None


def whole_number(value: Any) -> int:
    """Return a number that a page sent.

    Raises:
        ScanweaveError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ScanweaveError("number", "is none", AGAIN)
    try:
        return int(value)
    except ValueError as error:
        raise ScanweaveError("number", "is none", AGAIN) from error


def chosen(asked: Any, known: Sequence[str]) -> list[str]:
    """Return names that a page sent.

    Raises:
        ScanweaveError: One of them is not known.
    """
    several = asked if isinstance(asked, list) else []
    if any(name not in known for name in several):
        raise ScanweaveError("names", "there is none of that name", AGAIN)
    return [str(name) for name in several]
