"""Results of a run on disk: where the newest evaluation, ranking or explanation lies, and their files, for the report.

A run may come from someone else, and its report is made to be sent. So what a run's files name is looked for in the run
alone, and results that lie elsewhere are read only where the user names their folder.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scanweave.engine.run import Run
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256, is_folder, is_plain, lies_within, plain_size, read_json, within, write_json
from scanweave.framework.unfinished import unfinished_about

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["evaluation", "ranking", "explanation"]
KINDS: dict[str, Kind] = {"evaluate": "evaluation", "rank": "ranking", "explain": "explanation"}
"""Results of each verb."""
OUTPUTS = "outputs.json"
MAX_RESULT_BYTES = 2**28
"""Largest table or picture of results that is read [bytes]."""
AGAIN = "Make it again, or restore the file"


def output_folder(run: Path, kind: Kind, *, named: bool = False, look: bool = False, other: bool = False) -> Path:
    """Return the folder in a run that results go to where the user names none.

    Args:
        run: The run folder.
        kind: What is done.
        named: Whether studies are named: what is found of all stays, and these lie beside it.
        look: Whether it is a first look, at some slices, which lies beside it too.
        other: Whether the studies are of another cohort than the run's own: these lie beside it too.
    """
    words = {"other": other, "named": named, "look": look}
    return run / "-".join([kind, *(word for word, said in words.items() if said)])


def numbered_folders(first: Path) -> Iterator[Path]:
    """Yield the folders that trials of other studies or slices go to in place of `first`: it, then "…-2", "…-3", ….

    They have no end, whether they are there or not.
    """
    yield first
    yield from (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))


def note_output(run: Run, kind: Kind, folder: Path) -> None:
    """Record in the run where the newest results of a kind lie, for the report."""
    place, home = (Path(os.path.realpath(path)) for path in (folder, run.folder))
    shown = place.relative_to(home) if place.is_relative_to(home) else place
    write_json(run.folder / OUTPUTS, {**_outputs(run), kind: str(shown)})


def newest_output(run: Run, kind: Kind) -> Path | None:
    """Return the folder of the newest results of a kind, wherever it lies, if there are any of the run's weights.

    Those of a checkpoint say nothing of the weights that the fit ended with.
    """
    folder = run.folder / str(_outputs(run).get(kind, kind))
    return folder if is_folder(folder) and _of_its_weights(run, folder, kind) else None


def _of_its_weights(run: Run, folder: Path, kind: Kind) -> bool:
    """Tell whether results are of the weights that a run has; so they are where either is not known."""
    of = (tried(folder, kind) or {}).get("run")
    return not isinstance(of, str) or not is_plain(run.weights) or of == file_sha256(run.weights)


def tried(folder: Path, kind: Kind) -> dict[str, Any] | None:
    """Return what the results in a folder are of: weights, studies and slices; None where nothing is known."""
    from scanweave.report.saving import SUMMARY  # matplotlib: only where results are read

    records = (folder / f"{name}.json" for name in (SUMMARY, kind))
    found = [read_json(path, f"Remove {folder}, and make it again") for path in records if is_plain(path)]
    abouts = [unfinished_about(folder), *(one.get("about") for one in found if isinstance(one, dict))]
    return next((one for one in abouts if isinstance(one, dict) and "cohort" in one), None)


def find_output(run: Run, kind: Kind, named: Sequence[str | Path] = ()) -> Path | None:
    """Return the folder of results of a kind to show: the first that is `named`, else the newest that lies in the run.

    A named folder counts where it holds results of that kind, and of the weights that the run has.
    """
    for folder in map(Path, named):
        if holds(folder, kind) and _of_its_weights(run, folder, kind):
            return folder
    newest = newest_output(run, kind)
    if newest is None or lies_within(run.folder, newest):
        return newest
    own = run.folder / kind  # of an earlier call
    try:
        return own if is_folder(within(run.folder, kind)) and _of_its_weights(run, own, kind) else None
    except ScanweaveError:
        return None


def kept_folders(run: Run, kind: Kind) -> list[Path]:
    """Return the folders in a run with finished results of a kind and of its weights, of whole cohorts, in order."""
    names = re.compile(rf"{kind}(-other(-\d+)?)?")
    folders = [folder for folder in sorted(run.folder.glob(f"{kind}*")) if names.fullmatch(folder.name)]
    return [one for one in folders if is_folder(one) and holds(one, kind) and _of_its_weights(run, one, kind)]


def holds(folder: Path, kind: Kind) -> bool:
    """Tell whether a folder holds finished results of a kind."""
    from scanweave.report.saving import SUMMARY  # matplotlib: only where results are read

    return is_plain(folder / f"{SUMMARY if kind == 'evaluation' else kind}.json")


def check_named(run: Run, named: Sequence[str | Path]) -> None:
    """Refuse folders that the user names for the report of a run, and that hold nothing of it.

    Raises:
        ScanweaveError: One holds no results, or those of other weights.
    """
    for folder in map(Path, named):
        held = [kind for kind in KINDS.values() if holds(folder, kind)]
        if not held:
            raise ScanweaveError(folder, "holds no results", "Name a folder that evaluate, rank or explain wrote")
        if not any(_of_its_weights(run, folder, kind) for kind in held):
            raise ScanweaveError(folder, f"holds results of other weights than {run.folder} has", "Make them again")


def result_file(folder: Path, name: str | Path) -> Path | None:
    """Return a file of results; None where it is absent.

    Raises:
        ScanweaveError: It lies outside of `folder`, or is no plain file of sensible size.
    """
    path = within(folder, name)
    if not os.path.lexists(path):
        return None
    size = plain_size(path, AGAIN)
    if size > MAX_RESULT_BYTES:
        budget = f"over the budget of {MAX_RESULT_BYTES / 2**20:.0f} MiB"
        raise ScanweaveError(path, f"{size / 2**20:.0f} MiB, {budget}", AGAIN)
    return path


def result_picture(folder: Path, name: str | Path) -> bytes | None:
    """Return the bytes of a picture of results; None where it is absent.

    Raises:
        ScanweaveError: As in `result_file`.
    """
    path = result_file(folder, name)
    return None if path is None else path.read_bytes()


def result_table(folder: Path, name: str | Path, **how: Any) -> pd.DataFrame:
    """Return a table of results.

    Args:
        folder: Of the results.
        name: The CSV file.
        how: Arguments of `pandas.read_csv`.

    Raises:
        ScanweaveError: It is absent or no table, or as in `result_file`.
    """
    from scanweave.spreadsheet_cells import read_csv

    path = result_file(folder, name)
    if path is None:
        raise ScanweaveError(folder / name, "is absent", AGAIN)
    with shape_faults(path):
        return read_csv(path, **how)


@contextmanager
def shape_faults(path: Path, step: str = AGAIN) -> Iterator[None]:
    """Turn what goes wrong in the block over the content of a file into an error that names the file.

    JSON and tables of results are valid and yet not what is expected where another version wrote them, or a person
    changed them.

    Raises:
        ScanweaveError: A value is absent or of another kind than this version writes.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        fault = f"{error} is absent" if isinstance(error, KeyError) else str(error)[:160]
        reason = f"is not what this version writes ({fault})"
        raise ScanweaveError(path, reason, step) from error


def _outputs(run: Run) -> dict[str, Any]:
    path = run.folder / OUTPUTS
    found = read_json(path, "Remove it, and evaluate again") if is_plain(path) else {}
    return found if isinstance(found, dict) else {}
