"""The page to look with: studies side by side, verbs started, files taken in and given out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.web.guard import OWN_POLICY, add_files, guarded_app
from scanweave.web.jobs import Jobs
from scanweave.web.workspace import Workspace, source_of

HERE = Path(__file__).parent
FILES = {
    "/": ("viewer.html", "text/html"),
    "/viewer.js": ("viewer.js", "text/javascript"),
    "/viewer.css": ("viewer.css", "text/css"),
    "/niivue.js": ("vendor/niivue.umd.js", "text/javascript"),
}
NIFTI = (".nii", ".nii.gz")
UPLOADS, OUT = "uploads", "out"
MOST_UPLOAD_BYTES, BLOCK = 2**33, 2**20
SAFE = re.compile(r"[A-Za-z0-9._-]{1,80}")
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
"""Of the page of a run, which is a file: it may draw, and reach nothing."""


class Viewer:
    """The routes of the page.

    Args:
        workspace: What there is to look at.
        folder: Where jobs and uploads lie.
        token: See `web.guard`.
    """

    def __init__(self, workspace: Workspace, folder: Path, token: str) -> None:
        self.workspace, self.folder = workspace, folder
        self.jobs = Jobs(folder, self._taken_in)
        self.responses = require("fastapi.responses", "web")
        self._made = TemporaryDirectory(prefix="scanweave-")
        self.app = guarded_app("scanweave", token)
        add_files(self.app, FILES)
        for one in self.jobs.jobs.values():
            if one.state == "done" and one.out and Path(one.out).is_dir():
                self._taken_in(Path(one.out))
        self._add_routes()

    def _taken_in(self, out: Path) -> None:
        self.workspace.add(out)

    def _add_routes(self) -> None:
        fastapi = require("fastapi", "web")
        app = self.app

        async def told(request: Any, error: ScanweaveError) -> Any:
            """Tell a fault in one line, without a path."""
            words = f"{error.reason}. {error.next_step}" if Path(str(error.where)).is_absolute() else str(error)
            return self.responses.JSONResponse({"error": words}, 400)

        app.add_exception_handler(ScanweaveError, told)
        app.get("/api/home")(self.home)
        app.get("/api/cohorts/{cohort}/studies/{study}")(self.study)
        app.get("/api/cohorts/{cohort}/studies/{study}/scans/{name}.nii.gz")(self.scan)
        app.get("/api/cohorts/{cohort}/studies/{study}/masks/{name}.nii.gz")(self.mask)
        app.get("/api/differences/{cohort}/{other}/{study}/{name}.nii.gz")(self.difference)
        app.get("/api/runs/{run}/report")(self.report)
        app.get("/api/jobs")(lambda: [self.jobs.told(number) for number in sorted(self.jobs.jobs, reverse=True)[:50]])
        app.get("/api/jobs/{number}")(lambda number: self.jobs.told(_whole(number)))
        app.post("/api/jobs/{number}/cancel")(self.cancel)
        app.post("/api/jobs")(self.start)

        app.add_api_route("/api/uploads", self._as_route(fastapi.Request), methods=["POST"])

    def _as_route(self, request_class: type) -> Callable[..., Any]:
        """Return `upload` as FastAPI takes it: it looks at annotations, and knows the class when it is loaded."""

        async def upload(request: Any) -> Any:
            return await self.upload(request)

        upload.__annotations__["request"] = request_class
        return upload

    def home(self) -> Any:
        """Return all that there is to look at."""
        return self.workspace.told()

    def study(self, cohort: int, study: int) -> Any:
        """Return what a study has, and what it lacks."""
        own, there = self.workspace.study(cohort, study), self.workspace.cohort(cohort)
        return {
            "id": own.id,
            "patient": own.patient,
            "scans": [_told(name, own.scans.get(name)) for name in there.names("scan")],
            "masks": [_told(name, own.masks[name]) for name in own.masks],
            "labels": {name: str(value) for name, value in own.labels.items()},
            "table": {name: _plain(value) for name, value in own.table.items()},
            "report": own.report.text if own.report is not None else None,
        }

    def scan(self, cohort: int, study: int, name: str) -> Any:
        """Return a scan as NIfTI."""
        return self._image(self.workspace.study(cohort, study), "scans", name)

    def mask(self, cohort: int, study: int, name: str) -> Any:
        """Return a mask as NIfTI."""
        return self._image(self.workspace.study(cohort, study), "masks", name)

    def _image(self, study: Study, kind: str, name: str) -> Any:
        held = getattr(study, kind)
        if name not in held:
            raise ScanweaveError(name, f"the study has none in its {kind}", "Load the page again")
        return self._sent(held[name], f"{study.id}_{name}.nii.gz")

    def _sent(self, scan: Scan, title: str) -> Any:
        """Return an image as a file: its own where that is NIfTI of one volume, else one that is written for it."""
        path = scan.path
        own = path is not None and path.is_file() and path.name.endswith(".nii.gz")
        if not own:
            path = Path(self._made.name) / f"{secrets.token_hex(12)}.nii.gz"
            write_scan(path, scan)
        name = title if SAFE.fullmatch(title) else "image.nii.gz"
        return self.responses.FileResponse(path, media_type="application/octet-stream", filename=name)

    def difference(self, cohort: int, other: int, study: str, name: str) -> Any:
        """Return how far a scan of one cohort is from that of another, voxel by voxel, where both lie on one grid."""
        one, two = (self.workspace.cohort(number)[study] for number in (cohort, other))
        if name not in one.scans or name not in two.scans:
            raise ScanweaveError(name, "is not in both", "Load the page again")
        first, second = one.scans[name], two.scans[name]
        if not first.geometry.matches(second.geometry) or first.frames or second.frames:
            raise ScanweaveError(name, "lies on two grids, or is a series", "Look at the two side by side")
        off = np.abs(np.asarray(first.data, np.float32) - np.asarray(second.data, np.float32))
        return self._sent(Scan.of(off, first.geometry.affine), f"{study}_{name}_difference.nii.gz")

    def report(self, run: int) -> Any:
        """Return the page of a run, which can reach nothing."""
        path = self.workspace.run(run).folder / "report.html"
        if not path.is_file():
            raise ScanweaveError("report", "the run has no page yet", "Start the verb report")
        answer = self.responses.FileResponse(path, media_type="text/html")
        answer.headers[OWN_POLICY] = REPORT_POLICY
        return answer

    def cancel(self, number: int) -> Any:
        """End a job."""
        self.jobs.cancel(number)
        return self.jobs.told(number)

    def start(self, asked: dict[str, Any]) -> Any:
        """Start a verb on what the page names by numbers."""
        verb, run = str(asked.get("verb", "")), self.workspace.run(_whole(asked.get("run")))
        told = next(one for one in self.workspace.told()["runs"] if one["id"] == _whole(asked.get("run")))
        if verb not in told["verbs"]:
            raise ScanweaveError("verb", "the run does not offer it", f"Choose one of {', '.join(told['verbs'])}")
        source = source_of(run) if run.shipped else str(run.folder)
        if verb == "report":
            job = self.jobs.start(f"report of {told['name']}", lambda own: ["report", source])
            return self.jobs.told(job.number)
        cohort = self.workspace.cohort(_whole(asked.get("cohort")))
        words = [verb, source, "--cohort", str(cohort.folder)]
        title = f"{verb} by {told['name']}"
        if verb == "predict":
            targets = _chosen(asked.get("targets"), told["targets"], "targets")
            studies = _chosen(asked.get("studies"), cohort.studies, "studies")
            words += ["--targets", *targets] if targets else []
            words += ["--studies", *studies] if studies else []
            title += f": {', '.join(targets) or 'what is absent'}, {', '.join(studies) or 'all studies'}"
        job = self.jobs.start(title, lambda own: [*words, "--out", str(own / OUT)], OUT)
        return self.jobs.told(job.number)

    async def upload(self, request: Any) -> Any:
        """Write the files of a request into a folder of their own, under numbers, and import them."""
        if int(request.headers.get("content-length") or 0) > MOST_UPLOAD_BYTES:
            raise ScanweaveError("upload", "is larger than 8 GiB", "Import it by scanweave cohort import")
        name = Path(str(request.query_params.get("name", ""))).name
        ending = next((one for one in (".nii.gz", ".nii", ".zip") if name.lower().endswith(one)), "")
        if not ending or not SAFE.fullmatch(name):
            step = "Drop .nii.gz, .nii, or a .zip of DICOM, named by letters, digits, dots and dashes"
            raise ScanweaveError("upload", "is no file that is taken in", step)
        own = self.folder / UPLOADS / secrets.token_hex(8)
        own.mkdir(parents=True)
        left = MOST_UPLOAD_BYTES
        with (own / name).open("wb") as file:
            async for block in request.stream():
                left -= len(block)
                if left < 0:
                    raise ScanweaveError("upload", "is larger than 8 GiB", "Import it by scanweave cohort import")
                file.write(block)
        source = own / name if ending == ".zip" else own
        job = self.jobs.start("import", lambda job: ["cohort", "import", str(source), "--out", str(job / OUT)], OUT)
        return self.jobs.told(job.number)


def viewer_app(workspace: Workspace, folder: Path, token: str) -> Any:
    """Return the application of the page.

    Args:
        workspace: What there is to look at.
        folder: Where jobs and uploads lie.
        token: See `web.guard`.
    """
    return Viewer(workspace, folder, token).app


def _told(name: str, scan: Scan | None) -> dict[str, Any]:
    if scan is None:
        return {"name": name, "state": "absent"}
    spacing = " × ".join(f"{step:.3g}" for step in scan.geometry.spacing)
    state = "synthetic" if scan.synthetic else "acquired"
    return {"name": name, "state": state, "size": scan.size, "spacing": spacing, "what": scan.what}


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _whole(value: Any) -> int:
    """Return a number that a page sent.

    Raises:
        ScanweaveError: It is none.
    """
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ScanweaveError("number", "is none", "Load the page again") from error


def _chosen(asked: Any, known: Sequence[str], field: str) -> list[str]:
    """Return names that a page sent.

    Raises:
        ScanweaveError: One of them is not known.
    """
    several = asked if isinstance(asked, list) else []
    if any(name not in known for name in several):
        raise ScanweaveError(field, "names what is not there", "Load the page again")
    return [str(name) for name in several]
