"""The engine and the check for residue of tests/container, for containers that mean harm."""

from tests.container.conftest import clean, engine

__all__ = ["clean", "engine"]
