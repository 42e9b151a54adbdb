"""Client side of Grand Challenge's invoke protocol: wait for `GET /health` → 200, then `POST /invoke` → 201 for each case."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

from benchmark.errors import SubmissionError

OK, CREATED = 200, 201


def wait_until_healthy(host: str, port: int, seconds: float, alive: Callable[[], bool]) -> float:
    """Wait for the server to say that its model is loaded; the seconds that it took.

    Raises `SubmissionError`: `crashed` when `alive()` turns false, `timeout` when the time is over. A redirect counts as no.
    """
    begin = time.monotonic()
    while True:
        if not alive():
            raise SubmissionError("crashed", "the server ended before it was ready")
        if _status(host, port) == OK:
            return time.monotonic() - begin
        if time.monotonic() - begin > seconds:
            raise SubmissionError(
                "timeout", f"the server was not ready after {seconds:.0f} s", expected="GET /health to answer 200"
            )
        time.sleep(0.05)


def invoke(host: str, port: int, seconds: float) -> None:
    """Run the case that lies in /input. Raises `SubmissionError`: `timeout`, or `crashed` for any answer but 201."""
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("POST", "/invoke", body=b"", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        text = answer.read(2000).decode("utf-8", "replace")
    except TimeoutError:
        raise SubmissionError("timeout", f"no answer within {seconds:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise SubmissionError("crashed", f"the server broke off the connection ({type(error).__name__})") from None
    finally:
        connection.close()
    check_answer(answer.status, text)


def check_answer(status: object, text: str) -> None:
    """Raise `SubmissionError('crashed')` for any status but 201; `text` is the answer's body."""
    if status != CREATED:
        detail = f": {text.strip().splitlines()[0][:200]}" if text.strip() else ""
        raise SubmissionError("crashed", f"POST /invoke answered {status}{detail}", expected="201")


def _status(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read(1000)
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
