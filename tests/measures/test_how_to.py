from __future__ import annotations

import re
import runpy
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "statistics.md"


def test_every_line_of_the_page_runs(tmp_path, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        script = tmp_path / "shown.py"
        script.write_text(block, encoding="utf-8")
        runpy.run_path(str(script))
    assert "sensitivity 0." in capsys.readouterr().out
