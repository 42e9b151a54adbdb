"""What a job needs while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """What a job needs while it runs. An executor starts it only where that is free."""

    memory_mb: int
    """Memory, in MiB: of the container by its limit, of our own code by an estimate from the volumes' sizes."""
    cpus: float = 1.0
    """Processor cores."""
    gpus: int = 0
    """GPUs."""
