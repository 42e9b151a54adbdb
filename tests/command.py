"""The command as a user starts it: a process of its own. And a night's settings with which nothing but one reference model is due."""

from __future__ import annotations

import sys

RADBENCH = [sys.executable, "-c", "from benchmark.cli import main; main()"]
"""The command `radbench`, without asking where it is installed."""

ONE_MODEL = """
[nightly]
tasks = ["denoising"]
baselines = { denoising = ["classical"] }
disk_low_gb = 0
"""
"""`radbench.toml`: denoising by its quickest reference model, however full the disk of the machine is."""
