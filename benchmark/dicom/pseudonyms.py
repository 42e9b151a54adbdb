"""Names and UIDs that stand for a patient's: keyed hashes (HMAC-SHA256), so that only who has the key can make them again.

A plain hash of a patient's number would hide nothing, since all numbers of a hospital can be tried. The key is random, lies in the
work folder and is never part of an edition. The same key gives the same names, so an import can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark import secret

DIGITS = 16
"""Hexadecimal digits of a pseudonym: 64 bits."""


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms under one key."""

    key: bytes

    def case(self, *parts: str) -> str:
        """Id of a case, from the UIDs of what it is made of."""
        return f"case-{self._digest('case', *parts)[:DIGITS]}"

    def patient(self, identifier: str) -> str:
        """What a patient is called; one patient has one name over all studies."""
        return f"patient-{self._digest('patient', identifier.strip())[:DIGITS]}"

    def uid(self, original: str) -> str:
        """A UID in place of another (PS3.5 B.2: 2.25. and a number of 128 bits); the same for the same."""
        return f"2.25.{int(self._digest('uid', original.strip())[:32], 16)}"

    def content(self, *parts: str) -> str:
        """A hash of content that cannot be compared with hashes of files that somebody else holds."""
        return self._digest("content", *parts)

    def _digest(self, kind: str, *parts: str) -> str:
        return secret.keyed(self.key, kind, *parts)
