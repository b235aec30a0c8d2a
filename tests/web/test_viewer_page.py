"""The page to look with: what it tells, what it starts, and what is out of its reach."""

import gzip
import json
import shutil
import time

import nibabel as nib
import numpy as np
import pytest

import scanweave as sw
from scanweave.errors import ScanweaveError
from scanweave.web.guard import new_token
from scanweave.web.jobs import Jobs
from scanweave.web.viewer_page import Viewer
from scanweave.web.workspace import Workspace

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient


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
    assert client.post("/api/uploads?name=a.zip", content=b"x").status_code == 403
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


def test_files_are_taken_in_under_safe_names(page, brains, tmp_path):
    client, _ = page
    for name in ("../x.zip", "x.exe", "a b.zip", "", "x.nii.gz/../../y.zip", "y" * 90 + ".zip"):
        answer = client.post("/api/uploads", params={"name": name}, content=b"x")
        if answer.status_code == 200:  # what is left of a path is its last name, which is safe
            assert name == "../x.zip" or name.endswith("/y.zip")
    inside = list((tmp_path / "page").rglob("*.zip"))
    assert all("uploads" in path.parts for path in inside)
    assert not (tmp_path / "x.zip").exists()
    source = next((brains / "brains").rglob("*t1*.nii.gz"))
    job = client.post("/api/uploads", params={"name": "s1_t1.nii.gz"}, content=source.read_bytes()).json()
    assert waited(client, job["id"])["state"] == "done"
    assert client.get("/api/home").json()["cohorts"][-1]["scans"] == ["t1"]


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
