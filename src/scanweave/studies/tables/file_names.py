"""Names of files in the cells of a table, which are no categories."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FILE = re.compile(
    r".*[^\s/\\.][^/\\.]*\.(?:nii|nrrd|nhdr|mha|mhd|mgz|mgh|img|hdr|mnc|dcm|ima|png|jpe?g|tiff?|bmp|gif|svs|npy|npz|h5"
    r"|hdf5|mat|edf|csv|tsv|xlsx?|parquet|txt|pdf|docx?|xml|json|zip|tar|tgz|avi|mp4)(?:\.(?:gz|bz2|zst))?",
    re.IGNORECASE,
)


def are_files(cells: Iterable[str]) -> bool:
    """Tell whether the cells are names of files, all of them."""
    there = set(cells)
    return bool(there) and all(_FILE.fullmatch(str(cell)) for cell in there)
