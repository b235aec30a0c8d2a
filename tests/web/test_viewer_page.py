"""The page to look with: what it tells, what it starts, and what is out of its reach."""

import gzip
import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest

import scanweave as sw
from scanweave.errors import ScanweaveError
from scanweave.studies.boxes import Boxes
from scanweave.studies.formats.image_writer import write_scan
from scanweave.web.box_images import box_image
from scanweave.web.caps import Rate
from scanweave.web.guard import new_token
from scanweave.web.jobs import Jobs, end_group
from scanweave.web.results import with_intervals
from scanweave.web.viewer_page import Viewer
from scanweave.web.workspace import Workspace

pytest.importorskip("fastapi")
pytest.importorskip("pydicom")
sys.path.append(str(Path(__file__).parents[1] / "studies" / "dicom"))
from dicom_series import MARK, write_series
from fastapi.testclient import TestClient

T1 = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12}
FLAIR = {"ScanningSequence": ["SE", "IR"], "RepetitionTime": 9000, "EchoTime": 100, "InversionTime": 2500}


def brain_like():
    """A ball of whole numbers `(Z, rows, columns)`."""
    grid = np.indices((20, 24, 22)) - np.array([10, 12, 11])[:, None, None, None]
    far = np.sqrt((grid**2).sum(axis=0))
    return np.where(far < 9, 900 - 40 * far, 0).astype(np.int16)


@pytest.fixture
def brains(tmp_path):
    home = tmp_path / "home"
    sw.simulate_brain(home / "brains", subjects=2, seed=0, spacing=8.0, sequences=("t1", "flair"), missing=0.0)
    return home


@pytest.fixture
def page(brains, tmp_path):
    token = new_token()
    viewer = Viewer(Workspace([brains]), tmp_path / "page", token)
    client = TestClient(viewer.app, base_url="http://127.0.0.1:8000")
    client.get(f"/?token={token}")
    yield client, viewer
    viewer.jobs.close()


def waited(client, number, seconds=90):
    """The job when it has ended."""
    for _ in range(10 * seconds):
        job = client.get(f"/api/jobs/{number}").json()
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_nothing_is_told_without_the_token(brains, tmp_path):
    viewer = Viewer(Workspace([brains]), tmp_path / "page", new_token())
    client = TestClient(viewer.app, base_url="http://127.0.0.1:8000")
    for path in ("/", "/viewer.js", "/api/home", "/api/cohorts/0/studies/0/scans/t1.nii.gz", "/api/jobs"):
        assert client.get(path).status_code == 403
    assert client.post("/api/jobs", json={}).status_code == 403
    assert client.post("/api/uploads").status_code == 403
    assert not (tmp_path / "page").exists()


def test_studies_are_told_by_number_and_no_path_leaves(page, brains):
    client, _ = page
    home = client.get("/api/home").json()
    (cohort,) = home["cohorts"]
    assert cohort["scans"] == ["t1", "flair"]
    assert [one["name"] for one in home["runs"]] == ["builtin:brain"]
    study = client.get("/api/cohorts/0/studies/1").json()
    assert [(one["name"], one["state"]) for one in study["scans"]] == [("t1", "acquired"), ("flair", "acquired")]
    everything = json.dumps([home, study, client.get("/api/jobs").json()])
    assert str(brains) not in everything
    assert str(brains.parent) not in everything


def test_scans_arrive_as_they_are(page, brains):
    client, _ = page
    answer = client.get("/api/cohorts/0/studies/0/scans/flair.nii.gz")
    study = next(iter(sw.Cohort.open(brains / "brains")))
    image = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_array_equal(np.asarray(image.dataobj), study.scans["flair"].data)
    np.testing.assert_allclose(image.affine, study.scans["flair"].geometry.affine, atol=1e-5)


@pytest.mark.parametrize(
    "path",
    [
        "/api/cohorts/9/studies/0",
        "/api/cohorts/-1/studies/0",
        "/api/cohorts/0/studies/99",
        "/api/cohorts/0/studies/0/scans/t2.nii.gz",
        "/api/cohorts/0/studies/0/scans/..%2F..%2Fcohort.nii.gz",
        "/api/runs/0/report",
        "/api/jobs/7",
        "/api/differences/0/0/nobody/t1.nii.gz",
        "/api/differences/0/7/x/t1.nii.gz",
    ],
)
def test_what_is_not_there_is_told_in_one_line(page, path, brains):
    client, _ = page
    answer = client.get(path)
    assert answer.status_code in (400, 404, 422)
    assert str(brains) not in answer.text


def test_a_scan_is_withheld_made_and_set_beside_the_truth(page):
    client, _ = page
    study = client.get("/api/home").json()["cohorts"][0]["studies"][0]
    asked = {"verb": "predict", "run": 0, "cohort": 0, "targets": ["flair"], "studies": [study]}
    job = waited(client, client.post("/api/jobs", json=asked).json()["id"])
    assert job["state"] == "done", job["lines"]
    assert job["share"] == 1
    home = client.get("/api/home").json()
    assert home["cohorts"][1]["predicted"]
    made = client.get("/api/cohorts/1/studies/0").json()
    assert [(one["name"], one["state"]) for one in made["scans"]] == [("flair", "synthetic")]
    off = client.get(f"/api/differences/0/1/{study}/flair.nii.gz")
    image = nib.Nifti1Image.from_bytes(gzip.decompress(off.content))
    parts = [client.get(f"/api/cohorts/{k}/studies/0/scans/flair.nii.gz").content for k in (0, 1)]
    first, second = (np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(one)).dataobj, float) for one in parts)
    np.testing.assert_allclose(np.asarray(image.dataobj), np.abs(first - second), atol=1e-3)


@pytest.mark.parametrize(
    "asked",
    [
        {"verb": "fit", "run": 0, "cohort": 0},
        {"verb": "predict", "run": 5, "cohort": 0},
        {"verb": "predict", "run": 0, "cohort": 5},
        {"verb": "predict", "run": 0, "cohort": 0, "targets": ["--out"]},
        {"verb": "predict", "run": 0, "cohort": 0, "studies": ["/etc/passwd"]},
        {"verb": "predict", "run": "x", "cohort": None},
        {},
    ],
)
def test_verbs_are_started_on_what_is_there_alone(page, asked, tmp_path):
    client, viewer = page
    answer = client.post("/api/jobs", json=asked)
    assert answer.status_code == 400
    assert viewer.jobs.jobs == {}
    assert not (tmp_path / "page").exists()


def test_jobs_wait_for_each_other_can_be_cancelled_and_outlive_the_page(tmp_path):
    jobs = Jobs(tmp_path / "jobs")
    slow = jobs.start("slow", lambda own: ["simulate", "brain", "--subjects", "500", "--out", str(own / "out")])
    second = jobs.start("second", lambda own: ["systems"])
    for _ in range(100):
        if slow.state == "running" and slow.process is not None:
            break
        time.sleep(0.1)
    assert second.state == "waiting"
    jobs.cancel(slow.number)
    assert jobs.told(slow.number)["state"] == "cancelled"
    for _ in range(300):
        if second.state == "done":
            break
        time.sleep(0.1)
    assert any("seq2seq" in line for line in jobs.told(second.number)["lines"])
    again = Jobs(tmp_path / "jobs")
    assert {number: job.state for number, job in again.jobs.items()} == {1: "cancelled", 2: "done"}
    with pytest.raises(ScanweaveError, match="there is no job 9"):
        again.cancel(9)


def test_files_are_taken_in_together_and_under_safe_names(page, brains, tmp_path):
    client, _ = page
    own = client.post("/api/uploads").json()["id"]
    for name in ("../x.nii", "/x.nii.gz", "a/../y.nii.gz", "/".join("abcdefghij") + ".nii"):
        answer = client.post(f"/api/uploads/{own}/files", params={"name": name}, content=b"x")
        assert answer.status_code == 400, name
    assert client.post(f"/api/uploads/{own}/import").status_code == 400  # it holds nothing yet
    assert client.post("/api/uploads/0123456789abcdef/files?name=a.nii", content=b"x").status_code == 400
    assert client.post("/api/uploads/..%2F..%2Fx/files?name=a.nii", content=b"x").status_code in (400, 404)
    assert [path for path in tmp_path.rglob("*") if path.name in ("x.nii", "y.nii.gz")] == []
    for name in ("t1", "flair"):
        source = next((brains / "brains").rglob(f"*{name}*.nii.gz"))
        sent = client.post(
            f"/api/uploads/{own}/files", params={"name": f"s1/s1_{name}.nii.gz"}, content=source.read_bytes()
        )
        assert sent.json() == {"taken": True}
    job = client.post(f"/api/uploads/{own}/import").json()
    assert waited(client, job["id"])["state"] == "done"
    assert sorted(client.get("/api/home").json()["cohorts"][-1]["scans"]) == ["flair", "t1"]


def test_names_are_made_safe_and_collections_are_private_and_removed(page, brains, tmp_path):
    client, viewer = page
    source = next((brains / "brains").rglob("*t1*.nii.gz")).read_bytes()
    own = client.post("/api/uploads").json()["id"]

    def sent(name, content=source):
        return client.post(f"/api/uploads/{own}/files", params={"name": name}, content=content)

    assert sent("My scans/Doe John (1)/t1.nii.gz").json() == {"taken": True}
    assert sent("My scans/Doe John (1)/t1.nii.gz").status_code == 400  # of that name already
    assert sent("John Doe.zip", b"PK").json() == {"taken": True}
    assert sent("notes.txt", b"no image").json() == {"taken": False}
    files = sorted(
        path.relative_to(viewer.uploads.folder / own).as_posix() for path in viewer.uploads.folder.rglob("*.*")
    )
    assert files == ["000002.zip", "My-scans/Doe-John-1-/t1.nii.gz"]
    assert viewer.uploads.folder.stat().st_mode & 0o077 == 0
    assert client.delete(f"/api/uploads/{own}").json() == {"dropped": True}
    assert list(viewer.uploads.folder.iterdir()) == []
    assert sent("t1.nii.gz").status_code == 400
    own = client.post("/api/uploads").json()["id"]
    sent("s1/t1.nii.gz")
    job = client.post(f"/api/uploads/{own}/import").json()
    done = waited(client, job["id"])
    assert done["state"] == "done", done["lines"]
    assert list(viewer.uploads.folder.iterdir()) == []
    home = client.get("/api/home").json()
    assert home["cohorts"][done["made"]]["name"] == f"taken in {job['id']}"
    assert str(tmp_path) not in json.dumps(client.get("/api/jobs").json())


def test_what_a_job_started_ends_with_it(tmp_path):
    script = tmp_path / "children.py"
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    script.write_text(f"import subprocess, sys, time\nprint({child}.pid, flush=True)\ntime.sleep(600)\n")
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    child = int(process.stdout.readline())
    end_group(process, 15)
    process.wait(20)
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the child is still there")


def test_a_folder_of_dicom_is_taken_in_made_and_given_back_as_dicom(page, tmp_path):
    pytest.importorskip("highdicom")
    client, _ = page
    for series, about in enumerate((T1, FLAIR), start=1):
        where = {"spacing": (8.0, 8.0), "step": (0, 0, 8.0)}
        write_series(tmp_path / "d", brain_like(), about=about, who={"series": str(series)}, **where)
    own = client.post("/api/uploads").json()["id"]
    for number, path in enumerate(sorted((tmp_path / "d").iterdir())):
        client.post(f"/api/uploads/{own}/files", params={"name": f"d/ä {number}"}, content=path.read_bytes())
    job = waited(client, client.post(f"/api/uploads/{own}/import").json()["id"])
    assert job["state"] == "done", job["lines"]
    cohort = client.get("/api/home").json()["cohorts"][-1]
    assert sorted(cohort["scans"]) == ["flair", "t1"]
    asked = {"verb": "predict", "run": 0, "cohort": cohort["id"], "targets": ["flair"]}
    job = waited(client, client.post("/api/jobs", json=asked).json()["id"])
    assert job["state"] == "done", job["lines"]
    packed = zipfile.ZipFile(io.BytesIO(client.get(f"/api/jobs/{job['id']}/results.zip").content))
    names = packed.namelist()
    assert sum(name.endswith(".dcm") for name in names) == len(brain_like())
    assert any("flair" in name and name.endswith(".nii.gz") for name in names)
    told = b"".join(packed.read(name) for name in names)
    assert MARK.encode() not in told
    assert not any("identities" in name for name in names)


def test_results_are_read_with_their_intervals_and_maps_lie_over_scans(page):
    client, viewer = page
    jobs = [
        client.post("/api/jobs", json={"verb": verb, "run": 0, "cohort": 0}).json()["id"]
        for verb in ("rank", "explain")
    ]
    assert [waited(client, number)["state"] for number in jobs] == ["done", "done"]
    home = client.get("/api/home").json()
    (ranking,) = [one for one in home["results"] if one["title"] == "rank by builtin:brain"]
    told = client.get(f"/api/results/{ranking['id']}/tables/ranking").json()
    assert "C_t" in told["columns"]
    assert "C_t_low" not in told["columns"]
    study = client.get("/api/cohorts/0/studies/0").json()
    names = {one["name"]: one for one in study["maps"]}
    first = names["flair differentiation · builtin:brain"]
    assert "t1 differentiation · builtin:brain" in names
    answer = client.get(f"/api/results/{first['result']}/studies/{study['id']}/maps/{first['place']}.nii.gz")
    image = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    assert image.shape == next(iter(viewer.workspace.cohort(0))).scans["t1"].geometry.shape
    folder = viewer.workspace.result(first["result"]).folder
    write_scan(folder.parent / "beside.nii.gz", next(iter(viewer.workspace.cohort(0))).scans["t1"])
    for study_name in ("..", "%2e%2e", "%2E.", "."):
        answer = client.get(f"/api/results/{first['result']}/studies/{study_name}/maps/0.nii.gz")
        assert answer.status_code in (400, 404)
    assert viewer.workspace.result(first["result"]).maps("..") == []
    for path in ("tables/nothing", "tables/..%2Fx", f"studies/{study['id']}/maps/9.nii.gz", "studies/../maps/0.nii.gz"):
        assert client.get(f"/api/results/{ranking['id']}/{path}").status_code in (400, 404)


def test_an_interval_shares_a_cell_with_its_value():
    table = pd.DataFrame(
        {"a": ["x"], "mean": [0.5], "low": [0.25], "high": [1.0], "C": [2.0], "C_low": [1.0], "C_high": [np.nan]}
    )
    made = with_intervals(table)
    assert made.to_dict("records") == [{"a": "x", "mean": "0.5 [0.25, 1]", "C": "2 [1, –]"}]


def test_boxes_are_drawn_by_their_edges():
    scan = sw.Scan.of(np.zeros((8, 7, 1), np.float32), np.eye(4))
    boxes = Boxes(np.array([[[1.0, 2.0], [5.0, 6.0]]]), ("nodule",), "pixel", size=(8, 7))
    drawn = np.asarray(box_image(boxes, scan).data)[..., 0]
    truth = np.zeros((8, 7), int)
    truth[1:5, 2:6] = 1
    truth[2:4, 3:5] = 0
    np.testing.assert_array_equal(drawn, truth)
    with pytest.raises(ScanweaveError, match="another grid"):
        box_image(Boxes(np.array([[[1.0, 2.0], [5.0, 6.0]]]), ("nodule",), "pixel", size=(9, 7)), scan)


def test_a_network_is_learnt_and_a_cohort_checked_from_the_page(page):
    client, _ = page
    assert waited(client, client.post("/api/jobs", json={"verb": "check", "cohort": 0}).json()["id"])["state"] == "done"
    asked = {"verb": "fit", "cohort": 0, "system": "seq2seq", "preset": "small"}
    job = client.post("/api/jobs", json=asked).json()
    for _ in range(600):
        if any("step" in line for line in client.get(f"/api/jobs/{job['id']}").json()["lines"]):
            break
        time.sleep(0.1)
    assert client.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    for wrong in (
        {**asked, "system": "rm"},
        {**asked, "preset": "--x"},
        {**asked, "cohort": None},
        {**asked, "cohort": True},
    ):
        assert client.post("/api/jobs", json=wrong).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://[::1"}, {"content-length": "99999999"}],
)
def test_what_changes_anything_comes_from_the_page_itself_and_is_small(page, headers):
    client, viewer = page
    answer = client.post("/api/jobs", content=b"{}", headers={"content-type": "application/json", **headers})
    assert answer.status_code in (403, 413)
    assert viewer.jobs.jobs == {}
    own = {"origin": "http://127.0.0.1:8000"}
    assert client.post("/api/uploads", headers=own).status_code == 200


def test_requests_are_counted():
    now = [0.0]
    rate = Rate(per_second=10.0, burst=3, clock=lambda: now[0])
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.11
    assert [rate.take() for _ in range(2)] == [True, False]


def test_a_report_reaches_nothing(page, brains, tmp_path):
    client, viewer = page
    run = viewer.workspace.runs[0]
    copy = brains / "run"
    shutil.copytree(run.folder, copy)
    (copy / "report.html").write_text("<script>fetch('/api/home')</script>")
    viewer.workspace.add(copy)
    answer = client.get("/api/runs/1/report")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "default-src 'none'" in policy
    assert "x-own-policy" not in answer.headers


def test_jobs_find_what_was_named_by_a_relative_path(brains, tmp_path, monkeypatch):
    monkeypatch.chdir(brains)
    token = new_token()
    viewer = Viewer(Workspace([Path("brains")]), tmp_path / "page", token)
    client = TestClient(viewer.app, base_url="http://127.0.0.1:8000")
    client.get(f"/?token={token}")
    job = waited(client, client.post("/api/jobs", json={"verb": "check", "cohort": 0}).json()["id"])
    viewer.close()
    assert job["state"] == "done", job["lines"]
