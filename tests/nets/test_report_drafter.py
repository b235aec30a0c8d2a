"""The decoder that writes reports: causal, blind to padding, and able to repeat what it learnt."""

import torch
from torch.nn import functional as F

from scanweave.nets.report_drafter import ReportDrafter


def drafter():
    torch.manual_seed(0)
    return ReportDrafter(6, 12, 16, layers=1, heads=2, most=8, padding=0, dropout=0.0)


def test_a_piece_does_not_depend_on_those_after_it():
    made, places = drafter().eval(), torch.randn(2, 6, 5)
    ids = torch.randint(1, 12, (2, 8))
    other = torch.cat([ids[:, :4], torch.randint(1, 12, (2, 4))], dim=1)
    torch.testing.assert_close(made(ids, places)[:, :4], made(other, places)[:, :4])


def test_padding_is_not_asked_for():
    made, places = drafter(), torch.randn(2, 6, 5)
    ids = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 3, 0, 0, 0]])
    scores = made(ids[:, :-1], places)
    each = [
        F.cross_entropy(scores[row, place], ids[row, place + 1])
        for row, last in ((0, 3), (1, 2))
        for place in range(last)
    ]
    torch.testing.assert_close(made.loss(ids, places), torch.stack(each).mean())


def test_two_images_are_told_apart_by_what_is_written():
    made, places = drafter(), torch.randn(2, 6, 5)
    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]])
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        made.loss(ids, places).backward()
        optimizer.step()
    made.eval()
    with torch.no_grad():
        assert [made.draft(one[None], 2, 3) for one in places] == [[5, 6, 7], [8, 9]]
        assert len(made.draft(places[:1], 2, 11)) == 7  # an end that never comes
