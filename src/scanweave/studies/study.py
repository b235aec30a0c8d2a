"""One examination of one patient, as far as it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import resolve
from scanweave.studies.boxes import Boxes
from scanweave.studies.reports import Report
from scanweave.studies.scan import Scan
from scanweave.studies.sinogram import Sinogram


@dataclass(frozen=True, eq=False)
class Study:
    """One examination; whatever was not acquired is absent from its dictionaries.

    Attributes:
        id: Name of the case, unique in its cohort.
        patient: Whom it belongs to; splits keep a patient's studies together.
        scans: Images by name (`"t1"`, `"flair"`, `"ct"` …), each on its own grid.
        masks: Label maps by name.
        sinograms: Measurements by name (`"ct"`), read when they are asked for.
        boxes: Boxes around lesions and organs; None: not annotated, no box: looked at without a finding.
        report: The radiologist's words.
        labels: Outcomes to predict.
        embeddings: What a network makes of it, by name, each `(D,)`.
        table: Clinical variables.
    """

    id: str
    patient: str
    scans: Mapping[str, Scan] = field(default_factory=dict)
    masks: Mapping[str, Scan] = field(default_factory=dict)
    sinograms: Mapping[str, Sinogram] = field(default_factory=dict)
    boxes: Boxes | None = None
    report: Report | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    embeddings: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        images = [f"{name} {scan.size}" for name, scan in self.scans.items()]
        images += [f"mask {name} {scan.size}" for name, scan in self.masks.items()]
        images += [f"sinogram {name}" for name in self.sinograms]
        return f"<Study {self.id} of patient {self.patient}: {', '.join(images) or 'no image'}>"

    def _repr_html_(self) -> str:
        """Show the middle slice of every image in a notebook, and what else there is."""
        from scanweave.studies.previews import scan_preview, titled

        images = [*self.scans.items(), *((f"mask {name}", mask) for name, mask in self.masks.items())]
        facts: dict[str, object] = {"patient": self.patient, "sinograms": ", ".join(self.sinograms)}
        facts |= {"boxes": "" if self.boxes is None else len(self.boxes.labels)}
        facts |= {"report": "" if self.report is None else self.report.text[:400]}
        facts |= {f"label {name}": value for name, value in self.labels.items()}
        facts |= dict(self.table)
        pictures = [(f"{name} {scan.size}", scan_preview(scan)) for name, scan in images]
        return titled(f"Study {self.id}", facts, pictures)

    def save(self, folder: str | Path) -> Path:
        """Write all that it holds into a new folder, whole or not at all; return the folder.

        Images are NIfTI, boxes JSON, the report text, embeddings `.npy`, sinograms HDF5; labels and clinical variables
        go to `study.json`, which names the files. What a model made says so in the names of its files.

        Raises:
            ScanweaveError: The folder is there and not empty, or the disk refuses.
        """
        saved: Path = resolve("scanweave.studies.formats.study_writer:save_study")(Path(folder), self)
        return saved

    def __getitem__(self, name: str) -> Scan:
        """Return the scan of that name."""
        try:
            return self.scans[name]
        except KeyError:
            present = ", ".join(self.scans) or "none"
            raise ScanweaveError(
                self.id, f"scan '{name}' is absent (present: {present})", "Choose a present scan"
            ) from None

    @property
    def columns(self) -> set[str]:
        """Its scans and sinograms as a manifest names them: `scan:t1`, `sinogram:ct`."""
        return {*(f"scan:{name}" for name in self.scans), *(f"sinogram:{name}" for name in self.sinograms)}

    @property
    def is_empty(self) -> bool:
        """Tell whether it holds nothing but its name."""
        parts = (self.scans, self.masks, self.sinograms, self.labels, self.embeddings, self.table)
        return self.report is None and self.boxes is None and not any(map(len, parts))

    def sinogram(self, name: str) -> Sinogram:
        """Return the measurement of that name, read now.

        Raises:
            ScanweaveError: It is absent, or its file is at fault.
        """
        if name not in self.sinograms:
            present = ", ".join(self.sinograms) or "none"
            raise ScanweaveError(
                self.id, f"sinogram '{name}' is absent (present: {present})", "Choose a study that was measured so"
            )
        return self.sinograms[name]

    def with_scans(self, scans: Mapping[str, Scan]) -> Study:
        """Return the same study with other scans."""
        return replace(self, scans=dict(scans))

    def answer(self, **made: Any) -> Study:
        """Return a study of the same examination that holds what was made of it, and nothing else.

        Args:
            made: Fields of a study: `scans`, `masks`, `boxes`, `labels`, `table`, `report`, `embeddings`.
        """
        return Study(self.id, self.patient, **made)

    def only(self, names: Iterable[str]) -> Study:
        """Return the same study as if only these scans had been acquired."""
        keep = set(names)
        return self.with_scans({name: scan for name, scan in self.scans.items() if name in keep})

    def without(self, *names: str) -> Study:
        """Return the same study as if these scans had not been acquired."""
        return self.with_scans({name: scan for name, scan in self.scans.items() if name not in names})
