"""The page that runs exported networks in a browser, by onnxruntime's WebAssembly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.framework.exporting.model_file import About, ModelFile
from scanweave.web.guard import add_files, guarded_app

HERE = Path(__file__).parent
FILES = {
    "/": ("phone.html", "text/html"),
    "/phone.js": ("phone.js", "text/javascript"),
    "/phone.css": ("phone.css", "text/css"),
    "/ort.mjs": ("vendor/ort.wasm.bundle.min.mjs", "text/javascript"),
}
WASM = "vendor/ort-wasm-simd-threaded.wasm.gz"
CLASSIFY = "classify"


def phone_app(paths: Sequence[Path], token: str) -> Any:
    """Return the application that runs exported networks in a browser.

    Args:
        paths: The files; the first looks at pictures, all are timed.
        token: See `web.guard`.

    Raises:
        ScanweaveError: A file is no network, or was not written by scanweave.
    """
    told = [_told(path) for path in paths]
    app = guarded_app("scanweave device", token)
    responses = require("fastapi.responses", "web")

    add_files(app, FILES)

    def wasm() -> Any:
        """Return the runtime, packed as it lies here: the browser unpacks it."""
        return responses.FileResponse(HERE / WASM, media_type="application/wasm", headers={"Content-Encoding": "gzip"})

    def models() -> Any:
        """Return what the page must know of each file."""
        return told

    def model(number: int) -> Any:
        """Return a file."""
        if not 0 <= number < len(paths):
            return responses.PlainTextResponse("There is no such network.", 404)
        return responses.FileResponse(paths[number], media_type="application/octet-stream")

    app.get("/ort-wasm-simd-threaded.wasm")(wasm)
    app.get("/models")(models)
    app.get("/models/{number}.onnx")(model)
    return app


def _told(path: Path) -> dict[str, Any]:
    """Return what the page must know of a file: sizes and names, and how a picture becomes its input."""
    file = ModelFile(path, 1)
    about = file.about
    if about is None:
        raise ScanweaveError(path, "was not written by scanweave", "Give a file of scanweave export")
    inputs = {name: {"shape": about.shapes[name], "kind": kind.__name__} for name, (_, kind) in file.inputs.items()}
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "precision": about.precision,
        "card": about.card,
        "inputs": inputs,
        "picture": _picture(about),
    }


def _picture(about: About) -> dict[str, Any] | None:
    """Return how a grey picture becomes the input; None: the network does not classify single films."""
    question, plan = about.plans.get("question.json", {}), about.plans.get("plan.json", {})
    if about.system != CLASSIFY or question.get("dimensions") != 2 or len(question.get("scans", ())) != 1:
        return None
    scan = question["scans"][0]
    own_scale = plan["rules"][scan]["kind"] in ("magnitude", "suv") or plan.get("spacing") is not None
    if scan in plan.get("colours", ()) or own_scale:
        return None
    return {
        "scan": scan,
        "outputs": question["outputs"],
        "findings": question["kind"] == "findings",
        "thresholds": {name: point["threshold"] for name, point in about.points.items()},
        "rule": plan["rules"][scan],
        "orientation": plan["settings"]["orientation"],
        "cropped": plan["settings"]["crop"],
    }
