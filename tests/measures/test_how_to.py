from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize(
    ("page", "number", "said"),
    [
        ("statistics.md", 2, "sensitivity 0."),
        ("segmentation-measures.md", 1, "where it is present"),
        ("detection-measures.md", 1, "JAFROC 0.583, JAFROC-1 0.600"),
    ],
)
def test_every_line_of_the_page_runs(tmp_path, capsys, page, number, said):
    blocks = re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == number
    for block in blocks:
        script = tmp_path / "shown.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    assert said in capsys.readouterr().out
