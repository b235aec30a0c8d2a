"""The tutorial "From PACS to synthetic FLAIR and back", done as it is written, with Orthanc as the archive."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import scanweave as sw
from scanweave.cli.main import main

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
from archive import THERE, archive  # noqa: E402
from dicom_series import MARK, write_series  # noqa: E402

PAGE = Path(__file__).parents[3] / "docs" / "tutorials" / "pacs.md"
ABOUT = {
    "t1": {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12},
    "t2": {"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 90},
}


def commands():
    blocks = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("scanweave ")]


@pytest.mark.skipif(not THERE, reason="Orthanc and its DICOMweb plug-in are not installed")
def test_every_command_of_the_tutorial_works(tmp_path, monkeypatch, capsys):
    from scanweave.studies.dicom.web import Server

    (study,) = list(sw.simulate_brain(tmp_path / "brain", subjects=1, seed=0, spacing=6.0, missing=0.0))
    for number, (name, about) in enumerate(ABOUT.items(), start=1):
        volume = np.rint(np.asarray(study.scans[name].data)).astype(np.int16).transpose(2, 1, 0)[:, ::-1, ::-1]
        where = {"spacing": (6.0, 6.0), "step": (0, 0, 6.0), "who": {"series": str(number)}}
        write_series(tmp_path / "files", volume, about=about, **where)
    monkeypatch.chdir(tmp_path)
    with archive(tmp_path) as address:
        server = Server(address)
        server.store([pydicom.dcmread(path) for path in sorted((tmp_path / "files").iterdir())])
        done = []
        for line in commands():
            words = shlex.split(line.replace("http://orthanc.example:8042/dicom-web", address))
            words = [
                word.replace(
                    "dicomweb+http://orthanc.example:8042",
                    address.replace("http", "dicomweb+http", 1).removesuffix("/dicom-web"),
                ).replace("4711", f"{MARK}id1")
                for word in words[1:]
            ]
            if words[0] == "serve":  # it would stay; tests/web drives the page
                continue
            assert main(words) == 0, (line, capsys.readouterr())
            done.append(words[0])
        assert done == ["cohort", "cohort", "predict", "explain", "push", "push"]
        series = server.client.search_for_series(study_instance_uid="1.2.3.1.1")
        told = sorted((one["00080060"]["Value"][0], "SYNTHETIC" in str(one.get("0008103E"))) for one in series)
    maps = sum(kind == "RWV" or kind == "OT" or kind == "MR" for kind, synthetic in told if synthetic)
    assert ("MR", True) in told
    assert maps >= 3  # a FLAIR, and a differentiation map of each of its sources
    assert sum(not synthetic for _, synthetic in told) == 2
