"""Folders and tables of images as a cohort, whatever way they are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.frame_facts import B_VALUES, FACTS
from scanweave.studies.formats.image_names import stem
from scanweave.studies.layouts.box_folders import annotations_in
from scanweave.studies.layouts.detect import DICOM, LAYOUTS, detect, detects_dicom
from scanweave.studies.layouts.frame_series import OPTION, parse_series
from scanweave.studies.layouts.joined_sources import joined
from scanweave.studies.layouts.listing import Listing
from scanweave.studies.layouts.names import Names, parse_rename
from scanweave.studies.layouts.table import names_images
from scanweave.studies.layouts.unread_files import find_unread
from scanweave.studies.tables.reading import is_table
from scanweave.studies.tables.schema import Said
from scanweave.wording import choice

RECORDS = "records"
"""What `--layout` calls a clinical table, which is no listing of files."""

_LIST = "Look at the names of the files; a table lists the frames of a series in its cell: a_0.nii.gz;a_1.nii.gz"
WITHOUT_IMAGES = ("reports", "boxes", "arrays", "table")
"""Layouts whose files are not all images, and which name those that they use."""
USED = frozenset({"dataset.json", "participants.tsv"})
"""Files of a source that layouts read beside its images."""

__all__ = ["LAYOUTS", "Listing", "import_cohort", "is_dicom", "list_studies", "parse_rename", "parse_series"]


def list_studies(
    src: str | Path | Sequence[str | Path],
    *,
    layout: str | None = None,
    rename: Mapping[str, str] | None = None,
    series: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    patient: str | None = None,
    columns: Mapping[str, Said] | None = None,
) -> Listing:
    """Find the studies of `src` without opening an image.

    Args:
        src: A folder, or a CSV or TSV table; or several of them, whose studies are put together.
        layout: One of `LAYOUTS`; None: recognised.
        rename: What words of file names mean, such as `{"fla": "flair", "T1POST": "t1c", "scout": "-"}`.
        series: Of series in a file a frame the names of those files, as a shell would match them, without their suffix;
            with a `/` of their paths: `{"dce": "*_dce_*"}`. Frames come in the order of their numbers.
        leave_out: Names of studies to drop, as a shell would match them.
        patient: A regular expression that finds the patient in the name of a study, in its first group if it has one.
        columns: What the user says of columns of a table, by heading: `label`, `patient`, `study`, `split`, `feature`
            or `-`.

    Raises:
        ScanweaveError: No layout fits, or several do; a pattern fits nothing; more than its role is said of a column.
    """
    roles = {heading: _role(heading, told) for heading, told in (columns or {}).items()}
    sources, names = [src] if isinstance(src, str | Path) else src, Names(rename, roles, series)
    if not sources:
        raise ScanweaveError("SRC", "no folder or table is named", "Such as: scanweave cohort import SRC --out COHORT")
    listings = [_listed(Path(one), layout, names) for one in sources]
    listing = listings[0] if len(listings) == 1 else joined(listings)
    listing.idle = names.idle
    if names.series.idle:
        raise ScanweaveError(OPTION, f"'{names.series.idle[0]}' fits no file", _LIST)
    if names.roles:
        heading = next(iter(names.roles))
        raise ScanweaveError("--columns", f"no table here has a column '{heading}'", "Name one as it is headed")
    listing.leave_out(leave_out)
    if patient is not None:
        listing.assign_patients(patient)
    return listing


def _role(heading: str, said: Said) -> str:
    """Return what a column of a table of images is for; its values stand as they are, so nothing else can be said."""
    more = said.model_dump(exclude_defaults=True, exclude={"role"})
    if said.role is None or more not in ({}, {"kind": "category"}):
        reason = f"of '{heading}' only its role can be said in a table of images"
        raise ScanweaveError("--columns", reason, "Say one of label, patient, study, split, feature, -")
    return said.role


def _listed(src: Path, layout: str | None, names: Names) -> Listing:
    if layout is not None and layout.lower() not in LAYOUTS:
        raise ScanweaveError("--layout", f"'{layout}' is not a layout", choice(layout, LAYOUTS))
    if not src.exists():
        raise ScanweaveError(src, "no such folder or table", "Check the path")
    listing = LAYOUTS[layout.lower() if layout else detect(src, names)](src, names)
    listing.join_frames()
    listing.find_visits()
    if src.is_dir() and listing.layout not in WITHOUT_IMAGES:
        files = listing.files()
        beside = {stem(file) + ending for file in files for ending in (FACTS, B_VALUES)}  # read with a series or PET
        listing.remarks += find_unread(src, files | beside | USED).lines()
    return listing


def _refuse_for_table(said: object) -> None:
    if said:
        reason = "--rename, --series, --leave-out and --patient are for images"
        step = "Of a clinical table say --columns 'HEADING=patient' or 'HEADING=-'"
        raise ScanweaveError("cohort import", reason, step)


def _refuse_for_dicom(asked: object) -> None:
    """Refuse what tags of DICOM tell already.

    Raises:
        ScanweaveError: It is asked for.
    """
    if asked:
        step = "Leave them out: tags tell time points and patients"
        raise ScanweaveError("cohort import", "--series, --patient and --columns are not for DICOM", step)


def is_dicom(src: Path) -> bool:
    """Tell whether a source is a server, or holds DICOM series, packed or not, and no layout fits it."""
    from scanweave.studies.dicom.sources import is_packed_dicom
    from scanweave.studies.dicom.web import is_server

    if src.is_dir():
        return detects_dicom(src)
    return is_server(src) or is_packed_dicom(src)


def _is_clinical(src: str | Path | Sequence[str | Path], layout: str | None) -> bool:
    """Tell whether a source is one table that names no image and holds no boxes of one."""
    sources = [src] if isinstance(src, str | Path) else list(src)
    if layout is not None or len(sources) != 1 or not Path(sources[0]).is_file():
        return layout == RECORDS
    table = Path(sources[0])
    return is_table(table) and not names_images(table) and not annotations_in(table.parent, table)


def import_cohort(
    src: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    layout: str | None = None,
    rename: Mapping[str, str] | None = None,
    series: Mapping[str, str] | None = None,
    leave_out: Sequence[str] = (),
    patient: str | None = None,
    name: str | None = None,
    columns: Mapping[str, Said] | None = None,
    like: str | Path | None = None,
    sheet: str | None = None,
    features: Mapping[str, Mapping[str, float]] | None = None,
    keep_identity: bool = False,
    identities: str | Path | None = None,
    access: Any = None,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> Cohort:
    """Make a cohort in the folder `out` of the studies in `src`, as `list_studies` finds them.

    A table without images and reports is a clinical one: see `tables.table_import.import_table`, which `like`,
    `sheet` and `features` are for.

    No image is opened, copied or changed, but for DICOM: see `dicom.importing.import_dicom`, which `keep_identity`,
    `identities`, `access` and `workers` are for. `say` takes lines: what was found, and what is doubtful.

    Raises:
        ScanweaveError: No layout fits, no study is found, or `out` holds a cohort already.
    """
    if _is_clinical(src, layout):
        from scanweave.studies.tables.table_import import import_table

        _refuse_for_table(rename or series or leave_out or patient is not None)
        one = src if isinstance(src, str | Path) else src[0]
        return import_table(one, out, columns=columns, like=like, sheet=sheet, name=name, features=features, say=say)
    if like is not None or sheet is not None or features is not None:
        raise ScanweaveError(
            "cohort import", "--like, --sheet and --features are for clinical tables", "Leave them out"
        )
    sources = [Path(src)] if isinstance(src, str | Path) else [Path(one) for one in src]
    if layout == DICOM or (layout is None and sources and all(map(is_dicom, sources))):
        from scanweave.studies.dicom.importing import import_dicom

        _refuse_for_dicom(series or patient is not None or columns)
        told: dict[str, Any] = {"name": name, "leave_out": leave_out, "identities": identities, "access": access}
        told |= {"workers": workers, "say": say}
        return import_dicom(sources, out, names=Names(rename), keep_identity=keep_identity, **told)
    if keep_identity or identities is not None:
        raise ScanweaveError("cohort import", "--keep-identity and --identities are for DICOM", "Leave them out")
    listing = list_studies(
        src, layout=layout, rename=rename, series=series, leave_out=leave_out, patient=patient, columns=columns
    )
    cohort = listing.write(out, name)
    for line in listing.report():
        say(line)
    return cohort
