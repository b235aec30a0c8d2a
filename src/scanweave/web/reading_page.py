"""The page on which readers tell made from real tumours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.reading.answers import ReadingStudy
from scanweave.reading.build import ITEMS
from scanweave.web.guard import add_files, guarded_app

HERE = Path(__file__).parent
FILES = {
    "/": ("reading.html", "text/html"),
    "/reading.js": ("reading.js", "text/javascript"),
    "/reading.css": ("reading.css", "text/css"),
    "/niivue.js": ("vendor/niivue.umd.js", "text/javascript"),
}
ITEM = re.compile(r"[0-9a-f]{12}")


def reading_app(study: ReadingStudy, token: str) -> Any:
    """Return the application of a study; nothing of the key is in its reach.

    Args:
        study: The study.
        token: See `web.guard`.
    """
    app = guarded_app("scanweave readers", token)
    responses = require("fastapi.responses", "web")

    add_files(app, FILES)

    def state(reader: str) -> Any:
        """Return how far a reader is, and the item that comes next."""
        try:
            done, item = len(study.answered(reader)), study.next_item(reader)
        except ScanweaveError as error:
            return responses.JSONResponse({"error": str(error)}, 400)
        return {"done": done, "of": len(study.items), "item": item}

    def image(item: str) -> Any:
        """Return the crop of an item."""
        if not ITEM.fullmatch(item) or item not in study.items:
            return responses.PlainTextResponse("There is no such item.", 404)
        return responses.FileResponse(study.folder / ITEMS / f"{item}.nii", media_type="application/octet-stream")

    def answer(reader: str, given: dict[str, Any]) -> Any:
        """Take an answer to the item that is next."""
        try:
            study.answer(reader, given)
        except ScanweaveError as error:
            return responses.JSONResponse({"error": str(error)}, 409)
        return state(reader)

    app.get("/state/{reader}")(state)
    app.get("/items/{item}.nii")(image)
    app.post("/answers/{reader}")(answer)
    return app
