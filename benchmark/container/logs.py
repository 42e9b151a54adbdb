"""What a container prints: kept from the first byte on, and never more than the task allows a case."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO


class CappedLog:
    """A log on disk. Each section (start-up, a case) keeps its first and its last bytes, up to `most` in all.

    The first half is written as it comes, so that it is there whatever happens; the last half, which holds the traceback, when
    the section ends.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.most = path, most
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def write(self, chunk: bytes) -> None:
        """Take what was printed."""
        with self._lock:
            room = self.most // 2 - len(self._head)
            if room > 0:
                self._head += chunk[:room]
                with self.path.open("ab") as handle:
                    handle.write(chunk[:room])
                chunk = chunk[room:]
            if chunk:
                self._tail += chunk
                # Cut in large steps: a flood of short lines must not move the bytes again and again.
                if len(self._tail) > 2 * self.most:
                    self._cut()

    def _cut(self) -> None:
        excess = len(self._tail) - (self.most - self.most // 2)
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def peek(self) -> bytes:
        """What was printed in this section so far, its middle left out."""
        with self._lock:
            return bytes(self._head) + bytes(self._tail)

    def section(self) -> bytes:
        """End the section: what was printed in it, cut to the limit. A new one begins."""
        with self._lock:
            self._cut()
            note = f"\n… {self._dropped} bytes left out …\n".encode() if self._dropped else b""
            rest = note + bytes(self._tail)
            if rest:
                with self.path.open("ab") as handle:
                    handle.write(rest)
            text = bytes(self._head) + rest
            self._head, self._tail, self._dropped = bytearray(), bytearray(), 0
            return text

    def follow(self, stream: IO[bytes]) -> threading.Thread:
        """Read a stream to its end in a thread of its own, which is returned."""

        def read() -> None:
            while chunk := stream.read1(65536):  # type: ignore[attr-defined]
                self.write(chunk)

        thread = threading.Thread(target=read, name="container log", daemon=True)
        thread.start()
        return thread
