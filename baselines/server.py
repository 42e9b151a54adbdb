"""Server side of Grand Challenge's invoke protocol: a warm model behind `GET /health` and `POST /invoke`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from benchmark.errors import RadbenchError
from benchmark.image import metaimage  # noqa: F401 - loaded here, or the first case would be charged for it

TERMINATED = 128 + signal.SIGTERM


def serve(run: Callable[[], None], host: str, port: int, *, while_stdin: bool = False) -> None:
    """Answer until SIGTERM, which ends the process at once. The model is loaded before: from the first answer it is ready.

    `run` handles the case that lies in the input folder; calls come one at a time. Prints the address that it listens on.
    With `while_stdin` the process also ends when its standard input closes: the pipe of a caller that was killed.
    """
    if while_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    # As process 1 of a container there is no default action for SIGTERM; waiting for a running case would outlast the
    # grace period.
    signal.signal(signal.SIGTERM, _end)
    with ThreadingHTTPServer((host, port), _handler(run)) as server:
        server.daemon_threads = True
        print(f"listening on {host}:{server.server_address[1]}", flush=True)
        server.serve_forever(poll_interval=0.1)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(TERMINATED)


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(TERMINATED)


def _handler(run: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(200, "ready")
            else:
                self._answer(404, "there are GET /health and POST /invoke")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/invoke":
                self._answer(404, "there are GET /health and POST /invoke")
                return
            try:
                with one_at_a_time:
                    run()
            except RadbenchError as error:
                print(f"{error.code}: {error.sentence}", file=sys.stderr, flush=True)
                self._answer(500, error.sentence)
            except Exception as error:
                traceback.print_exc()
                self._answer(500, f"{type(error).__name__}: {error}")
            else:
                self._answer(201, "done")

        def _answer(self, status: int, text: str) -> None:
            body = (text + "\n").encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not logged: standard error is for what went wrong."""

    return Handler
