"""A batch that memory cannot hold is refused with both sizes and the setting that asks for it."""

import pytest
from tiny import TinyTask, fit

from scanweave.engine import free_memory
from scanweave.errors import ScanweaveError


def test_the_limit_of_a_container_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(free_memory, "CONTAINER_LIMIT", tmp_path / "memory.max")
    free = free_memory.free_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_bytes() > free / 2
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory.free_bytes("cpu") == 1000


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_that_no_memory_holds_is_refused_after_its_first_sample(tmp_path, workers):
    with pytest.raises(ScanweaveError) as caught:
        fit(tmp_path / "run", TinyTask(), batch_size=10**12, workers=workers)
    said = str(caught.value)
    assert said.startswith("training.batch_size: a batch of 1000000000000 samples takes 478,")
    assert "of cpu memory are free. Give a smaller batch, and training.accumulate" in said
    assert "\n" not in said
