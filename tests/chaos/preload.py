"""What every night needs, imported once: the processes of nights are forked from one that has it."""

from __future__ import annotations

import SimpleITK  # noqa: F401

from benchmark import metrics, publishing, scoring, store  # noqa: F401
from benchmark.nightly import session, sources  # noqa: F401
from leaderboard import cache, site
from tests.chaos import places  # noqa: F401

# Hashes of the code, taken once: all nights of a test have the same, also while somebody works on it.
store.scorer_version(), sources.code(), cache.code(), site.maker()
