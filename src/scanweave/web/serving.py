"""A local application served until it is stopped."""

from __future__ import annotations

import signal
import socket
from typing import Any

from scanweave.errors import ScanweaveError
from scanweave.external import require

HOST = "127.0.0.1"


def serve(app: Any, port: int, token: str) -> None:
    """Serve an application on the loopback of this machine, and print its address; Ctrl-C ends it.

    Args:
        app: From `guard.guarded_app`.
        port: Port; 0 for a free one.
        token: The secret in the address.

    Raises:
        ScanweaveError: The port is taken.
    """
    uvicorn = require("uvicorn", "web")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # who opens the address at once waits, and is not refused
    except (OSError, OverflowError) as error:
        listener.close()
        raise ScanweaveError("port", f"{port} cannot be used ({error})", "Give another one, or none") from error
    number = listener.getsockname()[1]
    print(f"open http://{HOST}:{number}/?token={token}", flush=True)
    print("It is reachable from this machine alone. Ctrl-C ends it.", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    signal.signal(signal.SIGTERM, _leave)  # uvicorn sends it anew when it has closed
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()


def _leave(number: int, frame: Any) -> None:
    """End by an exception, so that what was opened is closed."""
    raise SystemExit(128 + number)
