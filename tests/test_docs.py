"""The documentation says what the program does: commands parse, links lead somewhere, Python runs on real names.

`python tests/test_docs.py` writes the table of presets anew.
"""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

import scanweave
from scanweave import api
from scanweave.cli import audit as audit_verb
from scanweave.cli import cohort as cohort_verb
from scanweave.cli import experiment as experiment_verb
from scanweave.cli import simulate as simulate_verb
from scanweave.cli import trial
from scanweave.cli.fit import Fit
from scanweave.cli.main import VERBS
from scanweave.cli.parsing import parse, parse_fields
from scanweave.errors import ScanweaveError
from scanweave.framework.options import chosen_options
from scanweave.systems.registry import systems
from scanweave.systems.seq2seq.config import PRESETS

ROOT = Path(__file__).resolve().parents[1]
CARDS = sorted((ROOT / "src" / "scanweave" / "systems").glob("*/CARD.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *CARDS]
GENERATED = {ROOT / "docs" / "scoreboard.md"}
"""Pages that a command writes, in the words of the benchmarks."""
WRITTEN = [page for page in PAGES if page not in GENERATED]
SEQ2SEQ = ROOT / "docs" / "systems" / "seq2seq.md"
PRESETS_TABLE = re.compile(r"(<!-- presets:[^\n]*\n).*?(\n<!-- end of presets -->)", re.DOTALL)
COMPOUND = {
    "audit": audit_verb.COMMANDS,
    "cohort": cohort_verb.COMMANDS,
    "experiment": experiment_verb.COMMANDS,
    "simulate": simulate_verb.COMMANDS,
}
OUTSIDE = re.compile(
    r"(?<![\w.~])/(?:work|tmp|home|root|opt|mnt|usr|var|Users)/"  # a folder of one machine
    r"|\b[\w.-]+\.(?:internal|corp|local)\b|\bpypi[-.][\w.]+|\bfiles\.pythonhosted\b|\bdownload\.pytorch\b"
    r"|index-url|\blocalhost\b|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)


def named(page):
    return str(page.relative_to(ROOT))


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, *languages):
    """Fenced code blocks of these languages ("" for none)."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language.strip() in languages]


def commands(page):
    """Every `scanweave …` command line that a page shows, without the program's name."""
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for code in blocks(page, "") for line in code.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    shown = [line for line in lines if re.match(r"(torchrun .* )?scanweave ", line)]
    shown += re.findall(r"`(scanweave [^`]+)`", prose)
    return [line.partition("scanweave ")[2] for line in shown]


def words_of(command):
    """The arguments of a command, without what stands for "the rest" and what documents as optional in brackets."""
    plain = re.sub(r"[\[\]]", " ", command).replace("…", " ")
    return [word for word in shlex.split(plain) if word != "|"]


def understand(command):
    """Parse a command as the program would, without running it; raises ScanweaveError."""
    verb, *arguments = words_of(command)
    if verb in ("VERB", "<verb>", "--help", "--version"):
        return
    assert verb in VERBS, f"no verb {verb}"
    if verb in COMPOUND and arguments:
        name, *arguments = arguments
        kinds = COMPOUND[verb]
        assert name in kinds, f"{verb} has no {name}"
        kind = kinds[name]
    elif verb == "fit":
        kind = Fit
    elif verb in trial.COMMANDS:
        kind = trial.COMMANDS[verb]
    else:
        module = __import__(f"scanweave.cli.{verb.replace('-', '_')}", fromlist=["COMMAND"])
        kind = getattr(module, "COMMAND", None)
    if not arguments or "--help" in arguments or kind is None:  # a verb that is only named
        return
    open_ended = kind is Fit or verb in (*trial.COMMANDS, "experiment")
    options, rest = parse(kind, f"scanweave {verb}", arguments, extra=open_ended)
    if kind is Fit or verb == "experiment":
        api.configure(options.system, options.preset, parse_fields(rest))
    elif rest:
        understand_options(verb, parse_fields(rest, flags=True))


def understand_options(verb, given):
    """Refuse options that no system adds to a verb."""
    kinds = [entry.options(verb) for entry in systems().values() if verb in entry.verbs]
    known = {name: kind for kind in kinds for name in kind.model_fields}
    assert set(given) <= set(known), f"{verb} has no option {set(given) - set(known)}"
    for name, value in given.items():
        chosen_options(known[name], {name: value}, verb)


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_commands_parse(page):
    faults = []
    for command in commands(page):
        try:
            understand(command)
        except (AssertionError, ScanweaveError, ValueError) as error:
            faults.append(f"scanweave {command}: {error}")
    assert faults == []


@pytest.mark.parametrize(
    "command",
    [
        "fitt seq2seq",
        "fit seq2seq --cohort c --run r --training.stepz 3",
        "rank RUN --cohort C --regions brain",
        "cohort splitt C",
        "predict RUN --cohort c",
        "simulate brain --subjects 3 --out o --protocol some",
    ],
)
def test_planted_mistake_is_found(command):
    with pytest.raises((AssertionError, ScanweaveError)):
        understand(command)


def test_readme_names_every_verb_and_shows_the_whole_way():
    page = ROOT / "README.md"
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text_of(page), re.MULTILINE)) == set(VERBS)
    assert {words_of(command)[0] for command in commands(page)} >= {
        "cohort",
        "fit",
        "predict",
        "evaluate",
        "rank",
        "explain",
        "report",
        "demo",
    }


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    faults = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        lost = not there.exists() or not there.is_relative_to(ROOT)
        if lost or (anchor and anchor not in _anchors(there)):
            faults.append(target)
    assert faults == []


def _anchors(page):
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", text_of(index))}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} <= linked


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_python_is_valid_and_uses_public_names(page):
    for code in blocks(page, "python"):
        tree = ast.parse(code)
        short = {
            alias.asname
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "scanweave"
        }
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in short
        }
        assert used <= set(scanweave.__all__)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = __import__(str(node.module), fromlist=["*"])
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_architecture_names_files_that_are_there():
    rows = re.findall(r"^\| `([\w/]+)` \| (.*) \|$", text_of(ROOT / "docs" / "architecture.md"), re.MULTILINE)
    rooms = {room: cells for room, cells in rows if room[0].islower()}
    assert len(rooms) > 10
    for room, cells in rooms.items():
        there = {path.name for path in (ROOT / "src" / "scanweave" / room).rglob("*.py")}
        assert set(re.findall(r"`(\w+\.py)`", cells)) <= there, room


def test_readme_has_python():
    assert any("sw.fit(" in code for code in blocks(ROOT / "README.md", "python"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_folder_or_host_of_one_machine(page):
    assert [found.group() for found in OUTSIDE.finditer(text_of(page))] == []


def flat(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def shown(value):
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:,}".replace(",", " ") if type(value) is int else str(value)


def presets_table():
    """All settings in which the presets differ, as Markdown."""
    presets = {name: dict(flat(PRESETS[name].model_dump())) for name in ("paper", "small", "best")}
    rows = [("setting", *(f"`{name}`" for name in presets)), ("---",) * (1 + len(presets))]
    for name in presets["paper"]:
        values = [shown(settings[name]) for settings in presets.values()]
        if len(set(values)) > 1 and name != "preset":
            rows.append((f"`{name}`", *values))
    return "\n".join(f"| {' | '.join(row)} |" if row[0] != "---" else f"|{'|'.join(row)}|" for row in rows)


def with_presets(text):
    return PRESETS_TABLE.sub(lambda found: found[1] + presets_table() + found[2], text)


def test_table_of_presets_is_that_of_the_code():
    assert PRESETS_TABLE.search(text_of(SEQ2SEQ))
    assert text_of(SEQ2SEQ) == with_presets(text_of(SEQ2SEQ)), "run: python tests/test_docs.py"


def test_card_names_every_measured_benchmark_of_its_system():
    for card in CARDS:
        results = (ROOT / "benchmarks" / "results").glob(f"{card.parent.name}_*.json")
        scripts = {json.loads(path.read_text(encoding="utf-8"))["benchmark"] for path in results}
        assert {name for name in scripts if f"benchmarks/{name}.py" not in text_of(card)} == set()


def test_settings_that_pages_name_exist():
    presets = [entry.preset(entry.presets[0]) for entry in systems().values()]
    settings = {name for preset in presets for name, _ in flat(preset.model_dump())}
    rooms = {name.partition(".")[0] for name in settings if "." in name}
    for page in WRITTEN:
        spoken = {
            name for name in re.findall(r"`(?:--)?([a-z]+\.[a-z_]+)`", text_of(page)) if name.split(".")[0] in rooms
        }
        assert {name for name in spoken if not name.endswith((".json", ".py", ".safetensors"))} <= settings, named(page)


if __name__ == "__main__":
    SEQ2SEQ.write_text(with_presets(text_of(SEQ2SEQ)), encoding="utf-8")
