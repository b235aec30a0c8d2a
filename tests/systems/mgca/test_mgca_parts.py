"""Parts of MGCA by hand: weights of words, alignment, codes, and the faults of the released code."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.nets.contrast import pair_loss
from scanweave.nets.encoders import make_encoder
from scanweave.nets.text_encoder import ReadText, TextEncoder
from scanweave.systems.mgca.alignment import token_loss
from scanweave.systems.mgca.config import NetworkSettings, ObjectiveSettings
from scanweave.systems.mgca.network import MgcaNetwork, Read, Seen, word_weights
from scanweave.systems.mgca.objective import MgcaObjective
from scanweave.systems.mgca.prototypes import balanced_codes, swapped_loss

BERT = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "vocab_size": 60,
    "num_hidden_layers": 1,
    "pad_token_id": 0,
}
SIZES = NetworkSettings(encoder="resnet10", embedding=8, hidden=16, prototypes=6)


@pytest.fixture(scope="module")
def tokenizer():
    words = "there is no small left right pleural effusion nodule and the heart normal in size"
    return ReportTokenizer.of_texts([words] * 2, 200, 12)


def small_network():
    torch.manual_seed(0)
    encoder = make_encoder("resnet10", 1, 2, width=0.125)
    return MgcaNetwork(encoder, TextEncoder(BERT), SIZES)


def pairs(batch=3, words=5, regions=7, length=8, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape):
        return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

    there = torch.arange(words) < torch.tensor([[words], [3], [2]])[:batch]
    weights = torch.rand(batch, words, generator=generator, dtype=torch.float64) * there
    read = Read(
        unit(batch, length),
        unit(batch, words, length) * there.unsqueeze(-1),
        weights / weights.sum(1, keepdim=True),
        there,
    )
    return Seen(unit(batch, length), unit(batch, regions, length), (regions, 1)), read


def plain_token_loss(seen, read, temperature):
    """The same with loops over pairs, words and regions."""
    totals = []
    for place in range(len(seen.regions)):
        words = read.words[place][read.there[place]]
        weights, regions = read.weights[place][read.there[place]], seen.regions[place]
        total = 0.0
        for own, other, shares in ((words, regions, weights), (regions, words, None)):
            gathered = []
            for one in own:
                attention = torch.softmax(other @ one / temperature, dim=0)
                gathered.append(F.normalize((attention[:, None] * other).sum(0), dim=0))
            scores = own @ torch.stack(gathered).T / temperature
            each = []
            for k in range(len(own)):
                forward = torch.logsumexp(scores[k], 0) - scores[k, k]
                backward = torch.logsumexp(scores[:, k], 0) - scores[k, k]
                each.append((forward + backward) / 2)
            each = torch.stack(each)
            total = total + (each.mean() if shares is None else (each * shares).sum())
        totals.append(total)
    return torch.stack(totals).mean()


def test_tokens_are_aligned_as_by_loops_and_padding_is_no_rival():
    seen, read = pairs()
    assert token_loss(seen, read, 0.1).item() == pytest.approx(plain_token_loss(seen, read, 0.1).item(), abs=1e-10)
    more = [F.pad(part, (0, 0, 0, 4)) if part.ndim == 3 else part for part in read]
    padded = Read(read.report, more[1], F.pad(read.weights, (0, 4)), F.pad(read.there, (0, 4)))
    assert token_loss(seen, padded, 0.1).item() == pytest.approx(token_loss(seen, read, 0.1).item(), abs=1e-12)


def test_gradients_reach_words_that_are_there_alone():
    seen, read = pairs()
    words = read.words.clone().requires_grad_()
    token_loss(seen, read._replace(words=words), 0.1).backward()
    assert torch.isfinite(words.grad).all()
    assert words.grad[read.there].abs().sum(-1).min() > 0
    assert words.grad[~read.there].abs().max() == 0


def test_a_word_weighs_by_its_own_attention():
    """The released code gives word k the attention of the piece after it."""
    attention = torch.tensor([[0.3, 0.1, 0.25, 0.0], [0.2, 0.4, 0.0, 0.0]])
    there = torch.tensor([[True, True, True, False], [True, True, False, False]])
    weights = word_weights(attention, there)
    assert weights.argmax(dim=1).tolist() == [0, 1]
    assert weights[~there].abs().max() == 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    low, high = np.quantile([0.3, 0.1, 0.25], [0.1, 0.9])
    kept = np.clip([0.3, 0.1, 0.25], low, high)
    np.testing.assert_allclose(weights[0, :3], kept / kept.sum(), rtol=1e-6)


def test_attention_meets_its_own_pieces():
    """A word of two pieces has the attention of both, and the first piece's own belongs to no word."""
    network = small_network().eval()
    attention = torch.tensor([[0.4, 0.05, 0.1, 0.1, 0.3, 0.05]])
    states = torch.randn(1, 6, 16)
    network.text.forward = lambda ids: ReadText(states[:, 0], states, attention)
    words = torch.tensor([[-1, 0, 1, 1, 2, -1]])
    with torch.no_grad():
        read = network.read(torch.zeros(1, 6, dtype=torch.long), words)
    torch.testing.assert_close(read.weights, word_weights(torch.tensor([[0.05, 0.2, 0.3]]), read.there))
    torch.testing.assert_close(read.words[0, 1], network.word_head(states[:, 2] + states[:, 3])[0])


def test_the_last_word_of_a_report_that_fills_the_room_is_read(tokenizer):
    """The released code leaves it out."""
    tokens = tokenizer.tokens(["there is no small left effusion and the heart normal"])
    assert len(tokens.ids) == 12
    assert tokens.words.tolist() == [-1, *range(10), -1]
    network = small_network().eval()
    with torch.no_grad():
        read = network.read(torch.from_numpy(tokens.ids)[None], torch.from_numpy(tokens.words)[None])
    assert read.there.tolist() == [[True] * 10]
    assert read.weights[0, 9] > 0
    torch.testing.assert_close(read.words.norm(dim=-1), torch.ones(1, 10))


def test_padding_changes_nothing_of_a_report(tokenizer):
    network = small_network().eval()
    tokens = tokenizer.tokens(["no nodule"])
    ids, words = torch.from_numpy(tokens.ids)[None], torch.from_numpy(tokens.words)[None]
    with torch.no_grad():
        whole, cut = network.read(ids, words), network.read(ids[:, :4], words[:, :4])
    torch.testing.assert_close(whole.report, cut.report)
    torch.testing.assert_close(whole.words, cut.words)


def test_codes_are_balanced_and_never_overflow():
    scores = torch.randn(12, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    codes = balanced_codes(scores, 0.5, 200)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((4,), 3.0, dtype=torch.float64))
    plain = (scores / 0.5).exp()
    for _ in range(3):
        plain = plain / plain.sum(dim=0, keepdim=True)
        plain = plain / plain.sum(dim=1, keepdim=True)
    torch.testing.assert_close(balanced_codes(scores, 0.5, 3), plain)
    assert torch.isfinite(balanced_codes(1e4 * scores, 0.05, 3)).all()
    assert torch.isfinite(swapped_loss(scores * 1e3, scores, 0.2, 0.05, 3))


def batch_of(seed=0, size=4):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (size, 12), generator=generator)
    ids[:, 0], ids[:, 8:] = 2, 0
    words = torch.arange(-1, 11).expand(size, -1).clone()
    words[:, 7:] = -1
    return {
        "image": torch.randn(size, 1, 32, 32, generator=generator),
        "ids": ids,
        "words": words,
        "report": torch.tensor([1, 1, 2, 3])[:size],
        "read": torch.tensor([1, 4, 2, 4])[:size],
        "number": torch.arange(size),
    }


def test_terms_rise_and_prototypes_wait():
    objective = MgcaObjective(small_network(), ObjectiveSettings(warm_in=10, frozen_steps=2))
    first = objective(batch_of())
    first["loss"].backward()
    network = objective.network
    assert network.prototypes.grad.abs().max() == 0
    assert all(one.grad is not None for one in network.parameters())
    with torch.no_grad():
        for _ in range(9):
            objective.after_step()
    objective.zero_grad()
    later = objective(batch_of())
    later["loss"].backward()
    assert network.prototypes.grad.abs().max() > 0
    assert later["token"].item() == pytest.approx(10 * first["token"].item(), rel=0.5)
    torch.testing.assert_close(network.prototypes.norm(dim=1), torch.ones(6))


def test_copies_of_a_report_are_right_or_wrong_pairs_as_asked():
    settings = {"token": 0.0, "prototype": 0.0, "frozen_steps": 0}
    network = small_network().eval()
    losses = {}
    for copies in ("apart", "together"):
        objective = MgcaObjective(network, ObjectiveSettings(copies=copies, **settings))
        terms = objective(batch_of())
        losses[copies] = terms["loss"].item()
        assert set(terms) == {"loss", "instance"}
    batch = batch_of()
    seen, read = network.look(batch["image"]), network.read(batch["ids"], batch["words"])
    right = torch.eye(4)
    right[0, 1] = right[1, 0] = right[1, 3] = right[3, 1] = 1  # the same report; the same of what is read
    expected = pair_loss(seen.film @ read.report.T / 0.07, right)
    assert losses["together"] == pytest.approx(expected.item(), rel=1e-5)
    assert losses["apart"] == pytest.approx(pair_loss(seen.film @ read.report.T / 0.07).item(), rel=1e-5)


def test_films_of_one_study_are_never_wrong_pairs():
    network = small_network().eval()
    objective = MgcaObjective(network, ObjectiveSettings(token=0.0, prototype=0.0, frozen_steps=0))
    batch = batch_of() | {"number": torch.tensor([0, 0, 1, 2])}
    seen, read = network.look(batch["image"]), network.read(batch["ids"], batch["words"])
    right = torch.eye(4)
    right[0, 1] = right[1, 0] = 1
    expected = pair_loss(seen.film @ read.report.T / 0.07, right)
    assert objective(batch)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_report_without_a_word_counts_nothing():
    seen, read = pairs()
    empty = read._replace(there=read.there & torch.tensor([[True], [False], [True]]))
    part = token_loss(Seen(*(one[[0, 2]] for one in seen[:2]), seen.places), Read(*(one[[0, 2]] for one in read)), 0.1)
    assert token_loss(seen, empty, 0.1).item() == pytest.approx(2 / 3 * part.item(), abs=1e-9)
