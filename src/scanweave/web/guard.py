"""Guard of every local page: requests must come from this machine, by its own name, with the token.

A page of another site can make a browser ask this machine, also under a name that it chose itself: so the name is
looked at (Host), and the token is a cookie that no other site can send (SameSite=Strict).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from scanweave.external import require
from scanweave.web.caps import Rate, refusal

HERE = Path(__file__).parent
COOKIE = "scanweave"
OWN_POLICY = "X-Own-Policy"
"""Header by which an answer has a stricter Content-Security-Policy of its own."""
LOCAL = ("127.0.0.1", "localhost")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src 'self' blob: data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def guarded_app(title: str, token: str) -> Any:
    """Return a FastAPI application that answers this machine alone, and only with the token.

    The first request brings the token in the address, and takes it away as a cookie.

    Args:
        title: Of the application.
        token: The secret, see `new_token`.
    """
    fastapi = require("fastapi", "web")
    responses = require("fastapi.responses", "web")
    app = fastapi.FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    rate = Rate()

    async def guard(request: Any, go_on: Callable[[Any], Awaitable[Any]]) -> Any:
        host = (request.headers.get("host") or "").rpartition(":")[0] or request.headers.get("host")
        if host not in LOCAL:
            return responses.PlainTextResponse("This page is served to this machine alone.", 403)
        if not rate.take():
            return responses.JSONResponse({"error": "Too many requests at once."}, 429, {"Retry-After": "1"})
        if (refused := refusal(request)) is not None:
            return responses.JSONResponse({"error": refused.reason}, refused.status)
        given = request.query_params.get("token")
        if given is not None and _same(given, token):
            answer = responses.RedirectResponse(request.url.path, 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        elif not _same(request.cookies.get(COOKIE, ""), token):
            return responses.PlainTextResponse("Open the address that scanweave printed: it holds a token.", 403)
        else:
            answer = await go_on(request)
        own = answer.headers.get(OWN_POLICY)
        for name, value in HEADERS.items():
            answer.headers[name] = value
        if own is not None:
            del answer.headers[OWN_POLICY]
            answer.headers["Content-Security-Policy"] = own
        return answer

    app.middleware("http")(guard)
    return app


def add_files(app: Any, files: Mapping[str, tuple[str, str]]) -> None:
    """Serve files of this folder.

    Args:
        app: From `guarded_app`.
        files: Name and media type of each, by its address.
    """
    responses = require("fastapi.responses", "web")

    def route(name: str, kind: str) -> Callable[[], Any]:
        return lambda: responses.FileResponse(HERE / name, media_type=kind)

    for address, (name, kind) in files.items():
        app.get(address)(route(name, kind))


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)
