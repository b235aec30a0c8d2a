"""The reading page: reachable from this machine with the token alone, and nothing of the key in its reach."""

import json

import numpy as np
import pytest

from scanweave.files import write_json
from scanweave.reading.answers import ReadingStudy
from scanweave.reading.build import write_item
from scanweave.web.guard import new_token
from scanweave.web.reading_page import reading_app

fastapi = pytest.importorskip("fastapi")


@pytest.fixture
def page(tmp_path):
    from fastapi.testclient import TestClient

    folder = tmp_path / "study"
    names = [f"{number:012x}" for number in range(3)]
    folder.mkdir()
    for name in names:
        write_item(folder / "items" / f"{name}.nii", np.zeros((8, 8, 8), np.int16))
    write_json(folder / "reading.json", {"format": 1, "items": names, "seed": 0, "key_sha256": "0" * 64})
    write_json(tmp_path / "key.json", {"secret": 1})
    token = new_token()
    client = TestClient(reading_app(ReadingStudy(folder), token), base_url="http://127.0.0.1:8000")
    return client, token, folder


def test_without_the_token_there_is_nothing(page):
    client, token, _ = page
    for path in ("/", "/reading.js", "/state/anna", "/items/000000000000.nii", "/?token=wrong", "/?token=é"):
        assert client.get(path).status_code == 403
    assert client.post("/answers/anna", json={}).status_code == 403
    answer = client.get(f"/?token={token}", follow_redirects=False)
    assert answer.status_code == 303
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert "Real or synthetic?" in client.get(f"/?token={token}").text


def test_another_name_of_this_machine_is_refused(page):
    client, token, _ = page
    client.get(f"/?token={token}")
    for host in ("example.org", "127.0.0.1.example.org:8000", "localhost.example.org", "[::1]:8000"):
        assert client.get("/", headers={"host": host}).status_code == 403
    assert client.get("/", headers={"host": "127.0.0.1:8000"}).status_code == 200


def test_a_reader_goes_through_all_items_once(page):
    client, token, folder = page
    client.get(f"/?token={token}")
    seen = []
    state = client.get("/state/anna").json()
    while state["item"] is not None:
        assert client.get(f"/items/{state['item']}.nii").content[344:348] == b"n+1\0"
        seen.append(state["item"])
        answer = {"item": state["item"], "made": True, "confidence": 4, "cue": "texture", "seconds": 3.21}
        state = client.post("/answers/anna", json=answer).json()
    assert sorted(seen) == [f"{number:012x}" for number in range(3)]
    assert state == {"done": 3, "of": 3, "item": None}
    assert client.post("/answers/anna", json={"item": seen[0], "made": True, "confidence": 4}).status_code == 409
    lines = (folder / "answers" / "anna.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"item": seen[0], "made": True, "confidence": 4, "cue": "texture", "seconds": 3.2}


def test_no_request_reaches_anything_but_items_and_the_page(page):
    client, token, _ = page
    client.get(f"/?token={token}")
    for path in (
        "/key.json",
        "/items/key.nii",
        "/items/..%2f..%2fkey.json",
        "/items/%2e%2e/reading.json",
        "/reading.json",
        "/answers/anna",
        "/docs",
        "/openapi.json",
    ):
        assert client.get(path).status_code in (404, 405)
    assert client.get("/state/..%2fkey").status_code in (400, 404)
    headers = client.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
