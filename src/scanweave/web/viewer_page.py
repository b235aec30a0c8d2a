"""The page to look with: studies side by side, verbs started, files taken in and given out."""

from __future__ import annotations

import re
import secrets
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import is_plain
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study
from scanweave.web.box_images import box_image
from scanweave.web.guard import OWN_POLICY, add_files, guarded_app
from scanweave.web.jobs import Job, Jobs
from scanweave.web.uploads import Uploads
from scanweave.web.verbs import OUT, asked_job, systems_told, verbs_of, whole_number
from scanweave.web.workspace import Workspace

HERE = Path(__file__).parent
FILES = {
    "/": ("viewer.html", "text/html"),
    "/viewer.js": ("viewer.js", "text/javascript"),
    "/viewer.css": ("viewer.css", "text/css"),
    "/niivue.js": ("vendor/niivue.umd.js", "text/javascript"),
}
UPLOADS, SHOWN_JOBS = ".scanweave-uploads", 50
BYTES = "application/octet-stream"
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
        self.uploads = Uploads(folder / UPLOADS)
        self.responses = require("fastapi.responses", "web")
        self._made = TemporaryDirectory(prefix="scanweave-")
        self.app = guarded_app("scanweave", token)
        add_files(self.app, FILES)
        for one in self.jobs.jobs.values():
            if one.state == "done" and one.out and Path(one.out).is_dir():
                self._taken_in(one)
        self._add_routes()

    def _taken_in(self, job: Job) -> None:
        out = Path(str(job.out))
        self.workspace.add(out)
        self.workspace.add_results(Path(job.about.get("run", "")), job.about.get("verb", ""), out)

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
        app.get("/api/cohorts/{cohort}/studies/{study}/boxes/{name}.nii.gz")(self.boxes)
        app.get("/api/results/{result}/tables/{name}")(self.table)
        app.get("/api/results/{result}/studies/{study}/maps/{number}.nii.gz")(self.study_map)
        app.get("/api/runs/{run}/report")(self.report)
        app.get("/api/jobs")(lambda: [self.job(number) for number in sorted(self.jobs.jobs, reverse=True)[:SHOWN_JOBS]])
        app.get("/api/jobs/{number}")(lambda number: self.job(whole_number(number)))
        app.get("/api/jobs/{number}/results.zip")(self.results)
        app.post("/api/jobs/{number}/cancel")(self.cancel)
        app.post("/api/jobs")(self.start)

        app.post("/api/uploads")(self.open_upload)
        app.delete("/api/uploads/{upload}")(self.drop_upload)
        app.post("/api/uploads/{upload}/import")(self.take_in)
        app.add_api_route("/api/uploads/{upload}/files", self._as_route(fastapi.Request), methods=["POST"])

    def _as_route(self, request_class: type) -> Callable[..., Any]:
        """Return `upload` as FastAPI takes it: it looks at annotations, and knows the class when it is loaded."""

        async def upload(request: Any) -> Any:
            return await self.upload(request)

        upload.__annotations__["request"] = request_class
        return upload

    def home(self) -> Any:
        """Return all that there is to look at."""
        told = self.workspace.told()
        for one in told["runs"]:
            one["verbs"] = verbs_of(self.workspace.run(one["id"]))
        return {**told, "systems": systems_told()}

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
            "boxes": [] if own.boxes is None else sorted(set(own.boxes.labels)),
            "maps": [
                {"result": number, "place": place, "name": f"{_title(path, own.id)} · {one.run}"}
                for number, one in enumerate(self.workspace.results)
                for place, path in enumerate(one.maps(own.id))
            ],
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
        return self.responses.FileResponse(path, media_type=BYTES, filename=name)

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

    def table(self, result: int, name: str, study: str | None = None) -> Any:
        """Return a table of results, of one study where it has rows of studies."""
        return self.workspace.result(result).table(name, study)

    def study_map(self, result: int, study: str, number: int) -> Any:
        """Return a map of a study as NIfTI."""
        found = self.workspace.result(result).maps(study)
        if not 0 <= number < len(found):
            raise ScanweaveError("map", "the study has none of that number", "Load the page again")
        return self.responses.FileResponse(found[number], media_type=BYTES, filename="map.nii.gz")

    def boxes(self, cohort: int, study: int, name: str) -> Any:
        """Return the boxes of a study, on the grid of one of its scans, as NIfTI."""
        own = self.workspace.study(cohort, study)
        if own.boxes is None or name not in own.scans:
            raise ScanweaveError("boxes", "the study has none there", "Load the page again")
        return self._sent(box_image(own.boxes, own.scans[name]), f"{own.id}_boxes.nii.gz")

    def cancel(self, number: int) -> Any:
        """End a job."""
        self.jobs.cancel(number)
        return self.job(number)

    def results(self, number: int) -> Any:
        """Return what a job wrote as a zip, which is made for it and removed when it is sent."""
        job = self.jobs.get(number)
        if job.state != "done" or job.out is None or not Path(job.out).is_dir():
            raise ScanweaveError("job", "has nothing to give", "Wait until it is done")
        path = Path(self._made.name) / f"{secrets.token_hex(12)}.zip"
        pack(Path(job.out), path)
        remove = require("starlette.background", "web").BackgroundTask(path.unlink, missing_ok=True)
        return self.responses.FileResponse(
            path, media_type="application/zip", filename=f"job-{number}.zip", background=remove
        )

    def start(self, asked: dict[str, Any]) -> Any:
        """Start a verb on what the page names by numbers."""
        one = asked_job(self.workspace, asked)
        job = self.jobs.start(one.title, one.words, one.out, one.about)
        return self.job(job.number)

    def open_upload(self) -> Any:
        """Return the name of a new collection of files."""
        return {"id": self.uploads.open()}

    async def upload(self, request: Any) -> Any:
        """Take a file into a collection."""
        told = str(request.query_params.get("name", ""))
        return {"taken": await self.uploads.take(str(request.path_params["upload"]), told, request)}

    def take_in(self, upload: str) -> Any:
        """Import what a collection holds."""
        words, spent = ["cohort", "import", str(self.uploads.source(upload))], self.uploads.folder / upload

        def command(own: Path) -> list[str]:
            return [*words, "--out", str(own / OUT), "--name", f"taken in {int(own.name)}"]

        job = self.jobs.start("import", command, OUT, {"verb": "import"}, spent)
        self.uploads.close(upload)
        return self.job(job.number)

    def drop_upload(self, upload: str) -> Any:
        """Remove a collection that is not taken in."""
        self.uploads.drop(upload)
        return {"dropped": True}

    def job(self, number: int) -> Any:
        """Return what the page has to know of a job: no path, and by number what it was asked of and what it made."""
        job, told = self.jobs.get(number), self.jobs.told(number)
        folders = [one.folder for one in self.workspace.cohorts] + [one.folder for one in self.workspace.runs]
        places = {str(one.parent) for one in folders} | {str(self.folder), str(Path.home())}
        for place in sorted(places, key=len, reverse=True):
            told["lines"] = [line.replace(f"{place}/", "") for line in told["lines"]]
        asked = Path(job.about["cohort"]) if "cohort" in job.about else None
        out = None if job.out is None else Path(job.out)
        cohorts, results = ([one.folder for one in some] for some in (self.workspace.cohorts, self.workspace.results))
        numbers = {"cohort": (cohorts, asked), "made": (cohorts, out), "found": (results, out)}
        return told | {name: some.index(one) if one in some else None for name, (some, one) in numbers.items()}

    def close(self) -> None:
        """End what runs, and remove what only the page needed."""
        self.jobs.close()
        shutil.rmtree(self.uploads.folder, ignore_errors=True)
        self._made.cleanup()


def pack(folder: Path, path: Path) -> None:
    """Write all files below a folder into a zip, as they are; links are left out."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for one in sorted(folder.rglob("*")):
            if is_plain(one):
                packed.write(one, str(one.relative_to(folder)))


def _told(name: str, scan: Scan | None) -> dict[str, Any]:
    if scan is None:
        return {"name": name, "state": "absent"}
    spacing = " × ".join(f"{step:.3g}" for step in scan.geometry.spacing)
    state = "synthetic" if scan.synthetic else "acquired"
    return {"name": name, "state": state, "size": scan.size, "spacing": spacing, "what": scan.what}


def _title(path: Path, study: str) -> str:
    """Return what a map is called: its file's name without that of the study."""
    return path.name.removesuffix(".nii.gz").removeprefix(f"{study}_").replace("_", " ")


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)
