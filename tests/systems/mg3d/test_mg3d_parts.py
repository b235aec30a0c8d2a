"""Parts of MG-3D by hand: soft right answers, hidden blocks and words, and the faults of the released code."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scanweave.framework.reported.pair_samples import plain_pieces
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.nets.contrast import pair_loss, soft_pair_loss
from scanweave.nets.encoders import make_encoder
from scanweave.nets.text_encoder import TextEncoder
from scanweave.studies.report_languages import ENGLISH
from scanweave.systems.mg3d.config import NetworkSettings, ObjectiveSettings, SamplingSettings
from scanweave.systems.mg3d.guided_layer import GuidedLayer
from scanweave.systems.mg3d.network import Mg3dNetwork
from scanweave.systems.mg3d.objective import Mg3dObjective
from scanweave.systems.mg3d.report_terms import ReportTerms
from scanweave.systems.mg3d.samples import asked_pieces, hidden_blocks

WORDS = "there is no small left right pleural effusion nodule and the heart normal in size"
REPORTS = (
    ("no nodule", "small effusion"),
    ("there is a nodule",),
    ("the heart is normal", "no effusion"),
    ("effusion",),
)
SIZES = NetworkSettings(
    encoder="resnet10", embedding=8, hidden=16, fusion_width=12, fusion_heads=2, regions="before last"
)


@pytest.fixture(scope="module")
def tokenizer():
    return ReportTokenizer.of_texts([WORDS] * 2, 200, 14)


@pytest.fixture
def network(tokenizer):
    torch.manual_seed(0)
    bert = {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 16,
        "vocab_size": tokenizer.pieces,
        "num_hidden_layers": 1,
        "pad_token_id": 0,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    made = Mg3dNetwork(make_encoder("resnet10", 1, 3, width=0.125), TextEncoder(bert), SIZES)
    torch.nn.init.normal_(made.kinds)
    return made.eval()


def batch_of(tokenizer, size=4, seed=0):
    rng = np.random.default_rng(seed)
    tokens = [tokenizer.tokens(report) for report in REPORTS[:size]]
    asked = torch.from_numpy(np.stack([asked_pieces(one, 0.3, rng) for one in tokens]))
    pieces = {name: torch.stack([plain_pieces(one)[name] for one in tokens]) for name in tokens[0]._fields}
    terms = ReportTerms(REPORTS, ENGLISH)
    settings = SamplingSettings(block=8)
    return pieces | {
        "image": torch.randn(size, 1, 32, 32, 32, generator=torch.Generator().manual_seed(seed)),
        "hidden": torch.stack([hidden_blocks((32, 32, 32), settings, rng) for _ in range(size)]),
        "masked": torch.where(asked, tokenizer.special["[MASK]"], pieces["ids"]),
        "asked": asked,
        "terms": torch.from_numpy(np.stack([terms.vector(report) for report in REPORTS[:size]])),
        "number": torch.arange(size),
        "report": torch.tensor([1, 2, 3, 1])[:size],
        "read": torch.tensor([5, 6, 7, 8])[:size],
    }


def test_soft_answers_are_the_hard_ones_without_a_share():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both, right, alike = torch.stack([scores, scores.T]), torch.eye(4, dtype=torch.bool), torch.rand(4, 4).double()
    hard = soft_pair_loss(both, right, alike, 0.0, 0.1)
    torch.testing.assert_close(hard, pair_loss(scores))
    soft = soft_pair_loss(both, right, alike, 0.3, 0.1)
    target = 0.7 * torch.eye(4).double() + 0.3 * (alike / 0.1).softmax(dim=1)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(4).double())
    plain = sum(-(target * one.log_softmax(dim=1)).sum(dim=1).mean() for one in both)
    torch.testing.assert_close(soft, plain)
    order = torch.tensor([2, 0, 3, 1])
    turned = soft_pair_loss(both[:, order][:, :, order], right, alike[order][:, order], 0.3, 0.1)
    torch.testing.assert_close(turned, soft)


def test_reports_are_alike_by_what_they_say_not_by_what_they_deny():
    terms = ReportTerms([("There is an effusion.",), ("No effusion.",), ("A small effusion.",), ("Normal.",)], ENGLISH)
    said, denied, other = (terms.vector([one]) for one in ("Effusion.", "No effusion.", "The effusion is small."))
    assert said @ other > 0.4
    assert said @ denied == 0
    assert np.linalg.norm(terms.vector(["xylophone"])) == 0


def test_blocks_are_hidden_whole_and_anew_each_time():
    """The released code multiplies the loss by a mask of tokens as if it were one of voxels."""
    settings = SamplingSettings(block=16, hidden=0.5)
    one, two = (hidden_blocks((40, 32, 48), settings, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == (40, 32, 48)
    assert not torch.equal(one, two)
    cells = [one[z : z + 16, y : y + 16, x : x + 16] for z in (0, 16, 32) for y in (0, 16) for x in (0, 16, 32)]
    assert all(cell.all() or not cell.any() for cell in cells)
    assert sum(bool(cell.all()) for cell in cells) == 9
    assert not hidden_blocks((16, 16, 16), SamplingSettings(block=8, hidden=0.99), np.random.default_rng(0)).all()


def test_words_are_hidden_whole(tokenizer):
    tokens = tokenizer.tokens(["no xq nodule effusion"])  # xq is of several pieces
    for seed in range(20):
        asked = asked_pieces(tokens, 0.3, np.random.default_rng(seed))
        chosen = set(tokens.words[asked].tolist())
        assert len(chosen) == 1
        np.testing.assert_array_equal(asked, np.isin(tokens.words, list(chosen)))
        assert not asked[tokens.words < 0].any()


def test_nothing_of_a_hidden_voxel_is_seen(network, tokenizer):
    batch = batch_of(tokenizer)
    report = network.read(batch)
    with torch.no_grad():
        one = network.filled(batch["image"], batch["hidden"], report)
        other = torch.where(batch["hidden"][:, None], 7.0, batch["image"])
        torch.testing.assert_close(network.filled(other, batch["hidden"], report), one, atol=0, rtol=0)


def test_what_is_filled_in_depends_on_the_report_and_on_no_padding(network, tokenizer):
    batch = batch_of(tokenizer)
    with torch.no_grad():
        report = network.read(batch)
        one = network.filled(batch["image"], batch["hidden"], report)
        turned = report._replace(sentences=report.sentences.roll(1, 0), there=report.there.roll(1, 0))
        assert (network.filled(batch["image"], batch["hidden"], turned) - one).abs().max() > 1e-5
        more = report._replace(sentences=F.pad(report.sentences, (0, 0, 0, 3)), there=F.pad(report.there, (0, 3)))
        torch.testing.assert_close(network.filled(batch["image"], batch["hidden"], more), one, atol=1e-5, rtol=1e-5)


def test_a_guide_that_is_absent_gives_nothing():
    torch.manual_seed(0)
    layer, x, guide = GuidedLayer(8, 2), torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    absent = torch.tensor([[True] * 4, [False, False, True, True]])
    made, weights = layer(x, guide, guide_absent=absent)
    assert torch.isfinite(made).all()
    torch.testing.assert_close(layer(x, guide + 1e3 * absent[..., None], guide_absent=absent)[0][1], made[1])
    torch.testing.assert_close(layer(x, torch.zeros_like(guide), guide_absent=absent)[0][0], made[0])
    assert weights[1, :, 2:].abs().max() == 0


def test_contrast_reads_whole_reports_and_reaches_the_projection_of_text(network, tokenizer):
    """The released code caches the text under its first mask, and gathers sentences without a gradient."""
    batch = batch_of(tokenizer)
    objective = Mg3dObjective(network, ObjectiveSettings(blocks=0.0, pieces=0.0, gated=0.0), 8)
    first = objective(batch)["loss"]
    torch.testing.assert_close(objective(batch | {"masked": batch["ids"] * 0 + 5})["loss"], first)
    first.backward()
    assert network.from_text.weight.grad.abs().max() > 0
    assert network.text.bert.embeddings.word_embeddings.weight.grad.abs().max() > 0


def test_every_term_is_there_and_the_others_rise(network, tokenizer):
    batch = batch_of(tokenizer)
    settings = ObjectiveSettings(pair=1.0, soft=0.2, warm_in=10, copies="together")
    objective = Mg3dObjective(network, settings, 8)
    first = objective(batch)
    assert set(first) == {"loss", "pair", "blocks", "pieces", "gated"}
    first["loss"].backward()
    assert all(one.grad is not None for one in network.parameters())
    for _ in range(9):
        objective.after_step()
    later = objective(batch)
    for name in ("blocks", "pieces", "gated"):
        assert later[name].item() == pytest.approx(10 * first[name].item(), rel=1e-4)


def test_hidden_blocks_alone_are_measured(network, tokenizer):
    batch = batch_of(tokenizer)
    objective = Mg3dObjective(network, ObjectiveSettings(pieces=0.0, gated=0.0), 8)
    with torch.no_grad():
        made = network.filled(batch["image"], batch["hidden"], network.read(batch))
        errors = (made - batch["image"])[:, 0].square()
        assert objective(batch)["blocks"].item() == pytest.approx(errors[batch["hidden"]].mean().item(), rel=1e-5)


def test_the_gated_term_is_that_of_loops(network, tokenizer):
    batch = batch_of(tokenizer)
    objective = Mg3dObjective(network, ObjectiveSettings(blocks=0.0, pieces=0.0, gated=1.0), 8)
    with torch.no_grad():
        report, tokens = network.read(batch), network.tokens(batch["image"])
        looked, plain = network.conditioned(tokens, report), network.plain_sentences(batch)
        places = [tuple(place) for place in report.there.nonzero().tolist()]
        parts = []
        for one in places:
            for other in places:
                alike = float(plain[one] @ plain[other])
                if one[0] != other[0] and (alike >= 0.9 or alike <= 0.6):
                    parts.append(abs(float(looked[one] @ looked[other]) - (alike if alike >= 0.9 else 0.0)))
        assert objective(batch)["gated"].item() == pytest.approx(np.mean(parts), rel=1e-4)


def test_a_queue_holds_earlier_pairs_as_wrong_answers_but_those_of_the_same_study(network, tokenizer):
    batch = batch_of(tokenizer, size=2)
    settings = {"blocks": 0.0, "pieces": 0.0, "gated": 0.0, "pair": 1.0}
    objective, plain = (Mg3dObjective(network, ObjectiveSettings(queue=queue, **settings), 8) for queue in (3, 0))
    later = batch_of(tokenizer, size=2, seed=1) | {"number": torch.tensor([1, 7])}  # the second study once more
    with torch.no_grad():
        torch.testing.assert_close(objective(batch)["loss"], plain(batch)["loss"])
        objective.after_step()
        assert objective.numbers.tolist() == [0, 1, -1]
        old = network.vector(network.tokens(batch["image"])), network.read(batch).vector
        torch.testing.assert_close(objective.queue[0, :2], old[0])
        new = network.vector(network.tokens(later["image"])), network.read(later).vector
        loss = objective(later)["loss"]
        objective.after_step()
        assert objective.numbers.tolist() == [1, 7, 0]
    right = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]]).float()
    right = right / right.sum(dim=1, keepdim=True)
    scores = [new[side] @ torch.cat([new[1 - side], old[1 - side]]).T / 0.1 for side in (0, 1)]
    torch.testing.assert_close(loss, sum(F.cross_entropy(one, right) for one in scores))


def test_equal_reports_in_the_queue_are_right_answers_where_copies_are(network, tokenizer):
    batch, later = batch_of(tokenizer, size=2), batch_of(tokenizer, size=2, seed=1)
    settings = {"blocks": 0.0, "pieces": 0.0, "gated": 0.0, "pair": 1.0, "copies": "together"}
    objective = Mg3dObjective(network, ObjectiveSettings(queue=2, **settings), 8)
    later |= {"number": torch.tensor([5, 6]), "report": torch.tensor([2, 9])}  # the words of the second one
    with torch.no_grad():
        old = network.vector(network.tokens(batch["image"])), network.read(batch).vector
        new = network.vector(network.tokens(later["image"])), network.read(later).vector
        objective(batch)
        objective.after_step()
        loss = objective(later)["loss"]
    right = torch.tensor([[0.5, 0, 0, 0.5], [0, 1, 0, 0]])
    scores = [new[side] @ torch.cat([new[1 - side], old[1 - side]]).T / 0.1 for side in (0, 1)]
    torch.testing.assert_close(loss, sum(F.cross_entropy(one, right) for one in scores))


def test_reports_without_a_word_are_like_none():
    terms = ReportTerms([("1 2 3.",), ("4",)], ENGLISH)
    assert terms.vector(["Effusion."]).tolist() == [0.0]


def test_statistics_are_those_of_whole_volumes(network, tokenizer):
    batch = batch_of(tokenizer)
    network.train()
    norm = next(layer for layer in network.encoder.modules() if isinstance(layer, torch.nn.BatchNorm3d))
    report = network.read(batch)
    before = norm.running_mean.clone()
    network.filled(batch["image"], batch["hidden"], report)
    torch.testing.assert_close(norm.running_mean, before, atol=0, rtol=0)
    network.tokens(batch["image"])
    assert (norm.running_mean - before).abs().max() > 0
