"""Reports as words and pieces, prompts, and what two studies' words have in common."""

import json

import numpy as np
import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.framework.reported.prompts import prompts_of, read_prompts
from scanweave.framework.reported.settings import PromptSettings, TextSettings
from scanweave.framework.reported.study_texts import text_of
from scanweave.framework.reported.text_plan import plan_text
from scanweave.framework.reported.text_weights import fill_text_encoder
from scanweave.framework.reported.tokens import ReportTokenizer
from scanweave.framework.reported.zero_shot import prompt_directions, zero_shot_shares
from scanweave.nets.contrast import equal_keys, pair_loss
from scanweave.nets.text_encoder import TextEncoder
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.report_cells import study_report
from scanweave.studies.reports import parse_report

TEXTS = ["There is a small effusion.", "There is no effusion.", "A small nodule is seen. There is no effusion."]


def test_a_tokenizer_is_the_same_each_time_and_on_disk(tmp_path):
    one, other = (ReportTokenizer.of_texts(list(TEXTS), 100, 16) for _ in range(2))
    assert one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    one.save(tmp_path / "tokenizer.json")
    again = ReportTokenizer.load(tmp_path / "tokenizer.json", 16)
    for ours, theirs in zip(one.tokens(TEXTS), again.tokens(TEXTS), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_pieces_have_the_numbers_of_their_words():
    made = ReportTokenizer.of_texts(TEXTS, 100, 16)
    tokens = made.tokens(["There is no nodule.", "Effusion."])
    # "nodule" came once alone, so it is put together of "no", which came more often, and letters
    assert tokens.words.tolist()[:13] == [-1, 0, 1, 2, 3, 3, 3, 3, 3, 4, 5, 6, -1]
    assert made.words(["There is no nodule.", "Effusion."]) == ["There", "is", "no", "nodule", ".", "Effusion", "."]


def test_a_word_that_does_not_fit_is_left_out_whole():
    made = ReportTokenizer.of_texts(TEXTS, 100, 8)
    tokens = made.tokens(["There is no nodule here."])
    assert len(tokens.ids) == 8
    assert tokens.words.tolist() == [-1, 0, 1, 2, -1, -1, -1, -1]
    long = made.tokens(["effusion " * 10_000])
    assert long.words.tolist() == [-1, 0, 1, 2, 3, 4, 5, -1]
    first = made.tokens(["Dilutedsilhouettes there."])  # the first word is cut, or nothing would be left
    assert first.words.tolist() == [-1, 0, 0, 0, 0, 0, 0, -1]


def test_words_that_say_nothing_are_known():
    made = ReportTokenizer.of_texts(TEXTS, 100, 16)
    assert made.unknown("There is no effusion?") == []
    assert made.unknown("Effusion of xylem, ß") == ["of", "xylem", "ß"]


def test_few_pieces_keep_all_letters():
    made = ReportTokenizer.of_texts(TEXTS, 64, 30)
    unknown = made.special["[UNK]"]
    assert made.pieces <= 64
    assert unknown not in made.tokens(TEXTS).ids


@pytest.mark.parametrize("content", ["no json", "{}", '{"model": 3}'])
def test_a_damaged_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ScanweaveError, match="is no tokenizer"):
        ReportTokenizer.load(tmp_path / "tokenizer.json", 16)


def save_bert(folder, layers=3, half=False, prefix=""):
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=40,
        num_hidden_layers=layers,
        max_position_embeddings=32,
    )
    bert = BertModel(config, add_pooling_layer=False)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "model_type": "bert"}))
    weights = {f"{prefix}{name}": (value.half() if half else value) for name, value in bert.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    letters = "abcdefghijklmnop"
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", *letters]))
    return bert


@pytest.mark.parametrize(("half", "prefix"), [(False, ""), (True, "bert.")])
def test_a_bert_of_ones_own_is_taken_over_and_cut(tmp_path, half, prefix):
    bert = save_bert(tmp_path / "bert", half=half, prefix=prefix)
    settings = TextSettings(weights=tmp_path / "bert", layers=2, most_tokens=16)
    tokenizer = ReportTokenizer.of_folder(tmp_path / "bert", 16)
    assert tokenizer.tokens(["No ab"]).ids.tolist()[:6] == [2, 5, 1, 3, 0, 0]
    plan = plan_text(settings, tokenizer.pieces, tokenizer.special["[PAD]"])
    assert (plan.bert.num_hidden_layers, plan.bert.hidden_size, plan.bert.pad_token_id) == (2, 16, 0)
    encoder = TextEncoder(plan.bert.model_dump())
    assert "million parameters of" in fill_text_encoder(encoder, tmp_path / "bert")
    own, theirs = encoder.bert.state_dict(), bert.state_dict()
    for name, value in own.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, theirs[name], atol=1e-3 if half else 0, rtol=1e-3 if half else 0)


def test_a_folder_without_a_bert_is_refused(tmp_path):
    with pytest.raises(ScanweaveError, match=r"config\.json: is not there"):
        plan_text(TextSettings(weights=tmp_path), 10, 0)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ScanweaveError, match="is no BERT but gpt2"):
        plan_text(TextSettings(weights=tmp_path), 10, 0)
    with pytest.raises(ScanweaveError, match=r"holds no tokenizer\.json and no vocab\.txt"):
        ReportTokenizer.of_folder(tmp_path, 16)
    save_bert(tmp_path / "bert")
    with pytest.raises(ScanweaveError, match="vocab_size is 40, where 99 are needed"):
        plan_text(TextSettings(weights=tmp_path / "bert", most_tokens=16), 99, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("layer_norm_eps", None), ("hidden_act", "swish9"), ("hidden_size", 15), ("num_attention_heads", 0)],
)
def test_a_bert_whose_configuration_is_at_fault_is_refused(tmp_path, field, value):
    save_bert(tmp_path / "bert")
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(ScanweaveError, match=r"config\.json"):
        plan_text(TextSettings(weights=tmp_path / "bert", most_tokens=16), 20, 0)


def test_weights_that_are_damaged_or_lack_some_are_refused(tmp_path):
    save_bert(tmp_path / "bert", layers=1)
    plan = plan_text(TextSettings(weights=tmp_path / "bert", most_tokens=16), 20, 0)
    deeper = TextEncoder({**plan.bert.model_dump(), "num_hidden_layers": 3})
    with pytest.raises(ScanweaveError, match="fits only"):
        fill_text_encoder(deeper, tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ScanweaveError, match="cannot be read"):
        fill_text_encoder(deeper, tmp_path / "bert")
    with pytest.raises(ScanweaveError, match="holds no model"):
        fill_text_encoder(deeper, tmp_path)


def test_sections_are_read_in_the_order_asked_for():
    report = parse_report("FINDINGS: Small effusion. IMPRESSION: Effusion. INDICATION: Cough.")
    assert text_of(report, ("impression", "findings"), "english").sentences == ("Effusion.", "Small effusion.")
    assert text_of(parse_report("No sections here."), ("findings",), "english").sentences == ("No sections here.",)
    with pytest.raises(ScanweaveError, match="says nothing of what is seen"):
        text_of(parse_report("INDICATION: Cough."), ("findings",), "english")
    with pytest.raises(ScanweaveError, match=r"has no technique \(but findings, impression, indication\)"):
        text_of(report, ("technique",), "english")
    early = parse_report("Heart is enlarged.\nCOMPARISON: None.")
    assert text_of(early, ("findings",), "english").sentences == ("Heart is enlarged.",)


@pytest.mark.parametrize(
    "report",
    [
        parse_report("Befund: Fraktur der 3. Rippe. Ggf. Kontrolle. Beurteilung: Kein Erguss."),
        parse_report("Befund: Fraktur der 3. Rippe. Ggf. Kontrolle.\nBeurteilung: Kein Erguss.\nAddendum: Keines."),
        study_report(None, {"befund": "Fraktur der 3. Rippe. Ggf. Kontrolle.", "beurteilung": "Kein Erguss."}),
        study_report(None, {"findings": "Fraktur der 3. Rippe. Ggf. Kontrolle.", "impression": "Kein Erguss."}),
    ],
)
def test_german_reports_are_read_as_german(report):
    found = text_of(report, ("impression", "findings"), "german").sentences
    assert found == ("Kein Erguss.", "Fraktur der 3. Rippe.", "Ggf. Kontrolle.")


def test_prompts_come_from_a_file_or_from_names_of_labels(tmp_path):
    rows = [
        {"study": f"s{k}", "patient": f"p{k}", "label:pleural_effusion": k % 2, "label:grade": "ab"[k % 2]}
        for k in range(4)
    ]
    cohort = Cohort.create(tmp_path / "c", rows, root=".", name="x", source="test", layout="test")
    made = prompts_of(PromptSettings(), cohort)
    assert list(made) == ["pleural_effusion"]
    assert made["pleural_effusion"].present[0] == "Pleural effusion."
    assert made["pleural_effusion"].absent[0] == "No pleural effusion."
    assert prompts_of(PromptSettings(), cohort, "german")["pleural_effusion"].absent[0] == "Kein pleural effusion."
    path = tmp_path / "p.toml"
    path.write_text('[grade]\npresent = ["A."]\nabsent = ["No a."]')
    with pytest.raises(ScanweaveError, match="holds other values than 0, 1"):
        prompts_of(PromptSettings(file=path), cohort)
    with pytest.raises(ScanweaveError, match="there are no sentences for 'x'"):
        prompts_of(PromptSettings(findings=("x",)), cohort)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a", "is no TOML file"),
        ("a = 3", r"\[a\] needs present and absent"),
        ("[a]\npresent = []\nabsent = ['No a.']", "needs present and absent"),
        ("[a]\npresent = ['A.']\nabsent = [' ']", "holds an empty sentence"),
        ("[a]\npresent = ['A.']\nabsent = ['No a.']\nother = 1", "needs present and absent"),
    ],
)
def test_a_file_of_prompts_that_is_at_fault_is_refused(tmp_path, text, words):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ScanweaveError, match=words):
        read_prompts(path)


def test_a_finding_is_told_by_the_side_it_is_more_like():
    vectors = {"A.": [1.0, 0.0], "Has a.": [0.8, 0.6], "No a.": [-1.0, 0.0]}

    def embed(sentences):
        return np.array([vectors[sentence] for sentence in sentences])

    from scanweave.framework.reported.prompts import Prompt

    directions = prompt_directions({"a": Prompt(present=("A.", "Has a."), absent=("No a.",))}, embed)
    mean = np.array([0.9, 0.3]) / np.hypot(0.9, 0.3)
    np.testing.assert_allclose(directions[0], mean - np.array([-1.0, 0.0]))
    shares = zero_shot_shares(np.array([[1.0, 0.0], [-1.0, 0.0]]), directions, 0.5)
    two = np.exp(np.array([mean[0], -1.0]) / 0.5)
    np.testing.assert_allclose(shares[:, 0], [two[0] / two.sum(), two[1] / two.sum()])


def test_pairs_are_contrasted_as_by_loops():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = (
        sum(torch.logsumexp(scores[k], 0) + torch.logsumexp(scores[:, k], 0) - 2 * scores[k, k] for k in range(5)) / 5
    )
    assert pair_loss(scores).item() == pytest.approx(plain.item(), abs=1e-12)
    assert pair_loss(scores, torch.eye(5)).item() == pytest.approx(plain.item(), abs=1e-12)
    order = torch.tensor([3, 1, 4, 0, 2])
    keys = equal_keys(torch.tensor([7, 7, 1, 2, 3]))
    one, other = pair_loss(scores, keys), pair_loss(scores[order][:, order], keys[order][:, order])
    assert one.item() == pytest.approx(other.item(), abs=1e-12)


def test_pieces_become_a_text_again():
    text = "There is a small left-sided effusion (new). No nodule, no xq. 3.5 cm?"
    tokenizer = ReportTokenizer.of_texts([text] * 2, 200, 64)
    ids = tokenizer.tokens([text]).ids
    assert tokenizer.text(ids.tolist()) == "There is a small left-sided effusion (new). No nodule, no xq. 3. 5 cm?"


def test_findings_are_read_from_a_draft_by_what_it_does_not_deny():
    from scanweave.framework.reported.drafting import named_findings
    from scanweave.studies.report_languages import ENGLISH

    terms = {"effusion": ("effusion", "pleural fluid"), "nodule": ("nodule",), "fracture": ("fracture",)}
    said = named_findings(["There is pleural fluid.", "No nodule or effusion.", "Heart normal."], terms, ENGLISH)
    assert said == {"effusion": True, "nodule": False, "fracture": False}
