import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyTask, fit
from torch import distributed, nn

from scanweave.engine.gather import gather_with_gradient
from scanweave.errors import ScanweaveError

FORK = multiprocessing.get_context("fork")
PROCESSES = 2


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=draw), torch.randn(6, 5, generator=draw)


def model() -> nn.Linear:
    layer = nn.Linear(5, 3, bias=False)
    nn.init.constant_(layer.weight, 0.1)
    with torch.no_grad():
        layer.weight += torch.arange(15.0).reshape(3, 5) / 20
    return layer


def contrast(first: torch.Tensor, second: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
    """InfoNCE from the first view to the second, over some rows."""
    scores = nn.functional.normalize(first[rows], dim=1) @ nn.functional.normalize(second, dim=1).T
    return nn.functional.cross_entropy(scores / 0.1, torch.arange(len(first))[rows])


def _process(folder: Path, rank: int, own_rows: bool) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    layer, (first, second) = model(), pairs()
    mine = slice(3 * rank, 3 * rank + 3)
    one, other = gather_with_gradient(layer(first[mine])), gather_with_gradient(layer(second[mine]))
    loss = contrast(one, other, mine if own_rows else slice(None))
    loss.backward()
    assert layer.weight.grad is not None
    values = torch.cat([loss.detach().reshape(1), layer.weight.grad.reshape(-1)])
    distributed.all_reduce(values)  # the engine's mean over the processes
    torch.save(values / PROCESSES, folder / f"{rank}.pt")
    distributed.destroy_process_group()
    os._exit(0)


@pytest.mark.parametrize("own_rows", [False, True])
def test_a_contrastive_loss_over_processes_is_that_of_the_whole_batch(tmp_path: Path, own_rows: bool) -> None:
    children = [FORK.Process(target=_process, args=(tmp_path, rank, own_rows)) for rank in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    layer, (first, second) = model(), pairs()
    loss = contrast(layer(first), layer(second))
    loss.backward()
    assert layer.weight.grad is not None
    expected = torch.cat([loss.detach().reshape(1), layer.weight.grad.reshape(-1)])
    for rank in range(PROCESSES):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), expected, rtol=1e-5, atol=1e-6)


def test_without_processes_a_batch_stays_as_it_is() -> None:
    batch = torch.ones(3, 2)
    assert gather_with_gradient(batch) is batch


def test_accumulation_of_a_coupled_batch_is_refused(tmp_path: Path) -> None:
    task: Any = TinyTask()
    task.batch_coupled = True
    with pytest.raises(ScanweaveError, match=r"training\.accumulate: would change the loss, .* Set it to 1"):
        fit(tmp_path / "twice", task, accumulate=2)
    assert fit(tmp_path / "once", task, steps=1).finished
