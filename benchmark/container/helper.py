"""Speaks HTTP to 127.0.0.1 from inside a container's network namespace, which cannot be reached from outside.

Run as a script, by its path or its text, with nothing but the standard library: it is started in the namespace of a stranger's
server, with the privileges of nobody. Takes lines `health` and `invoke <seconds>` on standard input, and answers each with one
line of JSON: {"status": 201, "text": "…"} or {"error": "timeout" | "broken"}.
"""

import encodings.idna  # noqa: F401  # what a host name needs, while our files can still be read
import http.client
import json
import os
import sys

NOBODY = 65534
TEXT_BYTES = 2000


def ask(port: int, method: str, path: str, seconds: float) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, body=b"" if method == "POST" else None)
        answer = connection.getresponse()
        return {"status": answer.status, "text": answer.read(TEXT_BYTES).decode("utf-8", "replace")}
    except TimeoutError:
        return {"error": "timeout"}
    except Exception as error:  # whatever the answer was: it is the server's fault and never the helper's end
        return {"error": "broken", "text": type(error).__name__}
    finally:
        connection.close()


def main() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    port = int(sys.argv[1])
    for line in sys.stdin:
        words = line.split()
        if words[0] == "health":
            answer = ask(port, "GET", "/health", 5)
        else:
            answer = ask(port, "POST", "/invoke", float(words[1]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
