"""Count the layouts of a folder of BIDS data sets that import, such as bids-standard/bids-examples (`--folder PATH`).

Counted are the data sets that hold a NIfTI file. Files may be empty: an import opens no image. The smoke tier makes a
few small data sets itself, of the kinds that are hard to take in.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import Claim, benchmark_arguments, write_results

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import import_cohort

LEAST_SHARE = 80 / 82
"""Of the data sets with images; 82 of the 108 examples hold some."""
SMALL = {
    "runs": ("anat/sub-01_T1w", "func/sub-01_task-a_run-1_bold", "func/sub-01_task-a_run-2_bold"),
    "runs_alone": ("func/sub-01_task-a_run-1_bold", "func/sub-01_task-a_run-2_bold"),
    "derivatives": ("anat/sub-01_desc-preproc_T1w", "anat/sub-01_space-MNI152_desc-preproc_T1w"),
    "collection": ("anat/sub-01_inv-1_MP2RAGE", "anat/sub-01_inv-2_MP2RAGE", "anat/sub-01_UNIT1"),
    "field_maps": ("fmap/sub-01_acq-anat_TB1TFL", "fmap/sub-01_acq-famp_TB1TFL"),
    "tracers": ("pet/sub-01_trc-18FFDG_pet", "pet/sub-01_trc-11CPIB_pet"),
}


def make_small(folder: Path) -> Path:
    """Write the small data sets, of empty files."""
    for name, files in SMALL.items():
        for file in files:
            path = folder / name / "sub-01" / f"{file}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            (folder / name / "sub-01.html").write_text("a page beside the subject")
    return folder


def holds_images(folder: Path) -> bool:
    """Tell whether there is a NIfTI file in a folder or below it."""
    return any(path.name.endswith((".nii", ".nii.gz")) for path in folder.rglob("*.nii*"))


def refusal(folder: Path) -> str:
    """Return why a data set does not import; empty if it does."""
    with tempfile.TemporaryDirectory() as out:
        try:
            import_cohort(folder, Path(out) / "cohort", say=str)
        except ScanweaveError as error:
            return str(error)
    return ""


def count_imported(folder: Path) -> tuple[int, dict[str, str]]:
    """Return how many data sets hold images, and why those do not import that do not."""
    sets = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    whole = [path for path in sets if holds_images(path)]
    refused = {path.name: words for path in whole if (words := refusal(path))}
    return len(whole), refused


def main() -> None:
    own = {"folder": {"type": Path, "default": None, "help": "folder of BIDS data sets"}}
    arguments = benchmark_arguments(__doc__ or "", ("smoke", "proof"), **own)
    with tempfile.TemporaryDirectory() as name:
        number, refused = count_imported(_folder(arguments, Path(name)))
    for data_set, words in refused.items():
        print(f"not imported: {data_set}: {words}")
    nothing = float("nan")
    claims = [
        Claim(
            "check: share of data sets with images that import",
            (number - len(refused)) / number,
            nothing,
            nothing,
            "",
            number,
            LEAST_SHARE if arguments.tier == "proof" else 1.0,
            "higher",
            {"imported": number - len(refused), "with images": number},
        )
    ]
    write_results("bids_examples", arguments, [0], claims, f"--folder {arguments.folder}" if arguments.folder else "")


def _folder(arguments: argparse.Namespace, temporary: Path) -> Path:
    if arguments.tier == "proof" and arguments.folder is None:
        raise SystemExit("--folder is needed: a copy of https://github.com/bids-standard/bids-examples")
    folder: Path = arguments.folder or make_small(temporary)
    return folder


if __name__ == "__main__":
    main()
