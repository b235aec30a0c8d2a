"""`scanweave synthesize`: tumours put into a scan, or into the scans of a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from scanweave.cli.main import REFUSED
from scanweave.cli.parsing import RunFolder
from scanweave.errors import ScanweaveError


@dataclass
class Synthesize:
    """Put tumours into a scan, or into all scans of a cohort, on their own grids; nothing else of them changes.

    By the generator of a FreeTumor run, whose judge must accept each, or by rules, which need nothing. The scans say in
    their headers that they are synthetic, and how each tumour was made.
    """

    source: Annotated[Positional[Path], arg(metavar="SCAN|COHORT")]
    """A volume in a file, or the folder of a cohort."""
    organ_mask: str
    """Where tumours may lie: a file on the grid of the scan, or the name of a mask of the cohort."""
    out: Path
    """Folder to make; of a cohort, a cohort afterwards."""
    run_folder: Annotated[RunFolder | None, arg(name="run", metavar="RUN")] = None
    """Folder of a FreeTumor run that makes and judges them."""
    rules: bool = False
    """Make them by rules: a drawn shape, a texture, a contrast. With --run, contrasts are those of its real tumours."""
    organ: tuple[str, ...] = ()
    """Structures in the mask, by name or number; all when left out."""
    scan: str | None = None
    """Scan of the cohort, where it has several."""
    studies: tuple[str, ...] = ()
    """Studies of the cohort; all that have scan and mask when left out."""
    count: int = 1
    """Tumours of a scan."""
    diameter_mm: float | None = None
    """Diameter of the ball of the same volume [mm]; drawn when left out."""
    growth: tuple[float, ...] = ()
    """Diameters of a series [mm], such as 8 12 18: one scan at each, the smaller tumours within the larger."""
    centre: tuple[int, int, int] | None = None
    """Voxel (i, j, k) in the organ; drawn when left out."""
    centre_mm: tuple[float, float, float] | None = None
    """The same in RAS millimetres."""
    shape: Literal["ellipsoid", "grown"] = "ellipsoid"
    """ellipsoid: turned and warped. grown: spread through the organ at uneven speed."""
    contrast: float | None = None
    """Mean change inside [HU], below 0 darker; with --unit percent in percent of the range. Drawn when left out."""
    edge_mm: float | None = None
    """Softness of the border [mm]; drawn when left out."""
    necrosis: bool = False
    """A darker core."""
    capsule: bool = False
    """A brighter rim."""
    avoid_vessels: bool = False
    """Leave what is much brighter than the organ as it is."""
    unit: Literal["hu", "percent"] = "hu"
    """Units of the scan; percent for MR and others that have none."""
    seed: int = 0
    """Same seed, same bits."""
    workers: int = 1
    """Processes, for a cohort; the result does not depend on them."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where a run computes; auto takes the fastest that is there."""

    def run(self) -> int:
        """Put them in, and say where the scans are."""
        from scanweave.files import is_folder

        if self.run_folder is None and not self.rules:
            raise ScanweaveError("--run", "neither a run nor rules make tumours", "Give --run RUN, or --rules")
        fields = ("diameter_mm", "shape", "contrast", "edge_mm", "necrosis", "capsule", "avoid_vessels")
        request = {name: getattr(self, name) for name in fields}
        common: dict[str, Any] = {name: getattr(self, name) for name in ("rules", "count", "seed", "unit", "device")}
        common["run"] = self.run_folder
        return self._cohort(request, common) if is_folder(self.source) else self._file(request, common)

    def _cohort(self, request: dict[str, Any], common: dict[str, Any]) -> int:
        from scanweave import wording
        from scanweave.engine.progress import counted
        from scanweave.synthesizing import synthesize_cohort

        if self.centre is not None or self.centre_mm is not None:
            raise ScanweaveError("--centre", "one place does not fit the scans of a cohort", "Leave it out")
        failed: list[str] = []

        def say(line: str) -> None:
            failed.append(line)
            print(line, flush=True)

        with counted("scans") as progress:
            made = synthesize_cohort(
                self.source,
                self.out,
                organ_mask=self.organ_mask,
                organ=self.organ,
                scan=self.scan,
                studies=self.studies or None,
                growth=self.growth,
                workers=self.workers,
                progress=progress,
                say=say,
                **common,
                **request,
            )
        left = f", {len(failed)} could not be done" if failed else ""
        print(f"wrote {made.folder}: {wording.studies(len(made))}{left} · next: scanweave cohort show {made.folder}")
        return REFUSED if failed else 0

    def _file(self, request: dict[str, Any], common: dict[str, Any]) -> int:
        from scanweave.synthesizing import synthesize_file

        for name in ("scan", "studies"):
            if getattr(self, name):
                raise ScanweaveError(f"--{name}", "has no effect on a single scan", "Leave it out")
        if self.workers != 1:
            raise ScanweaveError("--workers", "has no effect on a single scan", "Leave it out")
        places: dict[str, Any] = {"centre": self.centre, "centre_mm": self.centre_mm, "growth": self.growth}
        for path in synthesize_file(
            self.source, Path(self.organ_mask), self.out, organ=self.organ, **places, **common, **request
        ):
            print(f"wrote {path}")
        return 0


COMMAND = Synthesize
