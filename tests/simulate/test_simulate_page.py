import re
import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "simulate.md"


def test_every_line_of_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("nilearn.datasets")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    (tmp_path / "shown.py").write_text("\n".join(blocks), encoding="utf-8")
    runpy.run_path("shown.py")
    said = capsys.readouterr().out
    assert re.search(r"triple-negative 0\.\d\d -?\d", said)
    assert re.search(r"(PERSISTENT|PLATEAU|WASHOUT) \d", said)
    assert "('t1', 't2') flair" in said
    assert re.search(r"\(256, 256, 1\) \{'nodule': 1, .*<Boxes \d in pixel: .*device 1.*nodule 1", said)
