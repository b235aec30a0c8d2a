"""Hostile requests to the page of `scanweave serve`: what they get, what they reach, what they leave behind.

1. Requests by hand, with the token and without: paths that lead out, in many spellings, in every place of an address;
   other hosts and origins; numbers and names that are none; bodies that are no JSON, too deep or too large; methods and
   headers that do not fit; names of files that lead out; packed files that lead out or are no zip.
2. schemathesis, on the page's own description of its addresses, for three minutes.

Counted: answers of 500 and above, answers that hold a secret which lies beside the served folder, files outside of the
folder of the page that are new or changed, answers without the token that tell anything. Bars: none of each.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from common import Claim, benchmark_arguments, write_results
from served import Served, served

import scanweave as sw
from scanweave.web.viewer_page import Viewer
from scanweave.web.workspace import Workspace

BESIDE = "ZQX lies beside ZQX"
ESCAPED = "scanweave-escaped.dcm"
"""Name of what a packed file would write where it leads out, were it let."""
SERVER_FAULT = 500
NONE = (float("nan"), float("nan"))
FUZZED_A_SECOND = 200
TIERS: dict[str, dict[str, Any]] = {"smoke": {"seconds": 0}, "proof": {"seconds": 180}, "study": {"seconds": 1_800}}
OUT = ("..", "../..", "%2e%2e", "..%2f..%2fsecret.txt", "%252e%252e%252fsecret.txt", "....//....//secret.txt",
       "..\\..\\secret.txt", "/etc/passwd", "%00", "secret.txt%00.nii.gz", "~", "C:%5cx", "%c0%ae%c0%ae/secret.txt",
       "file:%2f%2f%2fetc%2fpasswd", "%0d%0aX-Own-Policy:%20x")  # fmt: skip
NUMBERS = ("-1", "99999999999999999999", "1e3", "NaN", "0x0", "", "null", "1%00", "%D9%A3")
PLACES = (
    "/api/cohorts/0/studies/0/scans/{}.nii.gz",
    "/api/cohorts/0/studies/0/masks/{}.nii.gz",
    "/api/cohorts/0/studies/0/boxes/{}.nii.gz",
    "/api/differences/0/0/{}/t1.nii.gz",
    "/api/results/0/tables/{}",
    "/api/results/0/studies/{}/maps/0.nii.gz",
    "/{}",
)
COUNTED = (
    "/api/cohorts/{}/studies/0",
    "/api/runs/{}/report",
    "/api/jobs/{}",
    "/api/jobs/{}/results.zip",
    "/api/results/{}/tables/x",
)
BODIES = (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"verb": 1}', b'{"verb": "predict", "run": {}}', b'"' * 100,
          b"[" * 50_000, b'{"verb": "predict", "run": NaN, "cohort": Infinity}', b'{"run": 1e400}',
          b'{"verb": "fit", "cohort": 0, "system": "../x", "preset": "small"}',
          b'{"verb": "predict", "run": 0, "cohort": 0, "targets": ["--out", "/tmp/x"]}',
          b'{"verb": "predict", "run": 0, "cohort": 0, "studies": [["x"]]}',
          b'{"verb": "predict", "run": true, "cohort": 0}')  # fmt: skip
NAMES = ("../x.nii", "..%2fx.nii", "/x.nii", "a/../../x.nii", "a%00.nii", ".lock.zip", "con%0d.nii", "x" * 4_000,
         "a/" * 400 + "x.nii", "%F0%9F%92%A5.zip", "")  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    {"Host": "evil.example"},
    {"Host": ""},
    {"Host": "127.0.0.1.evil.example"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9"},
    {"Cookie": "scanweave=x"},
    {"Content-Length": "-1"},
    {"Content-Length": "x"},
    {"Range": "bytes=99999999-"},
    {"Range": "bytes=" + "0-1," * 500 + "0-1"},
    {"Accept-Encoding": "x" * 5_000},
    {"X-Forwarded-Host": "127.0.0.1"},
    {"If-Modified-Since": "x"},
    {"X": "y" * 70_000},
)


class Answer(NamedTuple):
    """Hold what a request got.

    Attributes:
        status: Of HTTP; 0: the connection was closed.
        body: What came.
    """

    status: int
    body: bytes


class Asker:
    """Sends requests as they are, one connection each.

    Args:
        page: Where.
    """

    def __init__(self, page: Served) -> None:
        self.page, self.cookie = page, {"Cookie": f"scanweave={page.token}"}
        self.answers: list[Answer] = []

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send a request with the token, unless its headers say otherwise."""
        parts = urlsplit(self.page.base)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        sent = {"Host": parts.netloc, **self.cookie, **(headers or {})}
        sent.setdefault("Content-Length", str(len(body)))
        try:
            connection.putrequest(method, path.encode().decode("latin-1"), skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            got = connection.getresponse()
            answer = Answer(got.status, got.read())
        except (OSError, http.client.HTTPException, ValueError):
            answer = Answer(0, b"")
        finally:
            connection.close()
        self.answers.append(answer)
        return answer


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    seconds = TIERS[arguments.tier]["seconds"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sw.simulate_brain(folder / "home" / "brains", subjects=1, seed=0, spacing=8.0, missing=0.0)
        (folder / "tmp").mkdir()
        os.environ["TMPDIR"] = str(folder / "tmp")  # what is unpacked lies below the folder that is watched
        for name in ("secret.txt", "secret.nii.gz"):
            (folder / "home" / name).write_text(BESIDE)
        with served(folder / "home", jobs=folder / "home" / "page") as page:
            asker = Asker(page)
            results = _explained(asker)
            (results.parent / "secret.nii.gz").write_text(BESIDE)
            before = _state(folder)
            asker.answers.clear()
            told = _without_token(page)
            for each in hostile(asker):
                asker.ask(*each)
            _ended(asker)
            fuzzed = _fuzzed(page, folder, seconds) if seconds else None
            alive = asker.ask("GET", "/api/home").status
        after = _state(folder)
        log = (folder / "home" / "served.log").read_text()
    write_results("web_hostile", arguments, (0,), list(_claims(asker.answers, told, before, after, fuzzed, alive, log)))


def _explained(asker: Asker) -> Path:
    """Let the page explain the brains, so that there are maps and tables to ask for; return their folder's name."""
    body = json.dumps({"verb": "explain", "run": 0, "cohort": 0}).encode()
    asker.ask("POST", "/api/jobs", body, {"Content-Type": "application/json"})
    _ended(asker)
    return next(Path(os.environ["TMPDIR"]).parent.glob("home/page/*/out"))


def _ended(asker: Asker) -> None:
    """Wait until no job runs."""
    while any(job["state"] in ("waiting", "running") for job in json.loads(asker.ask("GET", "/api/jobs").body)):
        time.sleep(0.2)


def hostile(asker: Asker) -> Iterator[tuple[Any, ...]]:
    """Yield method, path, body and headers of each request."""
    for place in PLACES:
        for way in OUT:
            yield "GET", place.format(way)
    for place in COUNTED:
        for number in NUMBERS:
            yield "GET", place.format(number)
    for headers in HEADERS:
        yield "GET", "/api/home", b"", headers
        yield "POST", "/api/jobs", b"{}", {"Content-Type": "application/json", **headers}
    for body in BODIES:
        yield "POST", "/api/jobs", body, {"Content-Type": "application/json"}
    yield "POST", "/api/jobs", b"{}", {"Content-Type": "application/json", "Content-Length": str(2**40)}
    yield "POST", "/api/jobs", b"a" * (2**20 + 1), {"Content-Type": "application/json"}
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "X" * 60):
        yield method, "/api/home"
    yield from _uploads(asker)


def _uploads(asker: Asker) -> Iterator[tuple[Any, ...]]:
    """Yield hostile files; what a request has to know of earlier answers is asked for here."""
    own = json.loads(asker.ask("POST", "/api/uploads").body)["id"]
    for name in NAMES:
        yield "POST", f"/api/uploads/{own}/files?name={name}", b"x"
    for upload in ("../page", "0" * 16, "%2e%2e", own.upper()):
        yield "POST", f"/api/uploads/{upload}/files?name=x.nii", b"x"
        yield "POST", f"/api/uploads/{upload}/import"
    for content in (_leading_out(), b"PK\x03\x04 no zip", b""):
        own = json.loads(asker.ask("POST", "/api/uploads").body)["id"]
        yield "POST", f"/api/uploads/{own}/files?name=x.zip", content
        yield "POST", f"/api/uploads/{own}/import"


def _leading_out() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        packed.writestr(f"../../../{ESCAPED}", bytes(128) + b"DICM")
    return held.getvalue()


def _without_token(page: Served) -> int:
    """Return how many answers without the token tell anything but that it is needed."""
    asker = Asker(page)
    asker.cookie = {}
    paths = ["/", "/viewer.js", "/niivue.js", "/api/home", "/api/jobs", "/api/cohorts/0/studies/0", "/openapi.json"]
    paths += ["/docs", f"/?token={page.token[:-1]}", "/?token=", "/?token=%00", "/api/home?token=x"]
    answers = [asker.ask("GET", path) for path in paths] + [asker.ask("POST", "/api/uploads")]
    return sum(answer.status != http.HTTPStatus.FORBIDDEN for answer in answers)


def _fuzzed(page: Served, folder: Path, seconds: int) -> tuple[int, int]:
    """Return how many cases schemathesis tried, and how many it found that the server did not bear."""
    report = folder / "report"
    report.mkdir()
    schema = report / "schema.json"
    viewer = Viewer(Workspace([folder / "home" / "brains"]), folder / "unused", "x")
    schema.write_text(json.dumps(viewer.app.openapi()))
    program = str(Path(sys.executable).with_name("schemathesis"))
    words = [program, "run", str(schema), "--url", page.base]
    words += ["-H", f"Cookie: scanweave={page.token}", "--checks", "not_a_server_error", "--max-time", str(seconds)]
    words += ["--rate-limit", f"{FUZZED_A_SECOND}/s", "--seed", "0", "--report", "ndjson", "--report-dir", str(report)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=report)
    print(done.stdout[-3_000:], done.stderr[-1_000:], flush=True)
    cases = failed = 0
    for line in next(report.glob("*.ndjson")).read_text().splitlines():
        cases += line.count('"status_code"')
        failed += line.count('"status_code":5') + line.count('"status_code": 5')
    return cases, failed


def _state(folder: Path) -> dict[str, str]:
    """Return a hash of each file outside of the folder of the page."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    own = {"page", "report", "unused", "tmp"}
    kept = [one for one in files if not own & set(one.relative_to(folder).parts) and one.name not in IGNORED]
    kept += [one for one in files if one.name == ESCAPED]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


IGNORED = {"served.log"}
"""Files that this script itself makes; those of schemathesis lie in a folder of their own."""


def _claims(
    answers: list[Answer],
    told: int,
    before: dict[str, str],
    after: dict[str, str],
    fuzzed: tuple[int, int] | None,
    alive: int,
    log: str,
) -> Iterator[Claim]:
    number = len(answers)
    faults = sum(answer.status >= SERVER_FAULT for answer in answers)
    closed = float(sum(answer.status == 0 for answer in answers))
    secret = sum(BESIDE.encode() in answer.body for answer in answers)
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    for path in changed:
        print(path, flush=True)
    shown = {"closed without an answer": closed}
    yield Claim("hostile requests answered by 500 or more", faults, *NONE, "", number, 0.0, "lower", shown)
    yield Claim("answers that hold what lies beside", secret, *NONE, "", number, 0.0, "lower")
    yield Claim(
        "files outside of the page's folder that are new or changed", len(changed), *NONE, "", number, 0.0, "lower"
    )
    yield Claim("answers without the token that tell anything", told, *NONE, "", 13, 0.0, "lower")
    yield Claim("tracebacks in what the server said", log.count("Traceback"), *NONE, "", number, 0.0, "lower")
    yield Claim("check: the page answers afterwards", float(alive == http.HTTPStatus.OK), *NONE, "", 1, 1.0, "higher")
    if fuzzed is not None:
        yield Claim("cases of schemathesis answered by 500 or more", fuzzed[1], *NONE, "", fuzzed[0], 0.0, "lower")


if __name__ == "__main__":
    main()
