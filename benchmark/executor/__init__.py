"""Who does the jobs: processes on this machine, or a Dask cluster. The caller sees one interface and standard futures.

    with open_executor(config) as executor:
        future = executor.submit(jobs.run, job, jobs.resources(job), key="run nightly/unet")
        future.result()

What a job raises comes out of `result()` with its own type. A worker that is killed costs its own job only, and that is done again,
up to `retries` times; then the future has `InfrastructureError('worker_lost')`. Nothing else is tried again here: what else may be
repeated, and when, is for whoever plans the work. Leaving the block waits for what was handed in; an exception or Ctrl-C in it ends what
runs and removes its containers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol

from benchmark.executor.config import ExecutorConfig, load
from benchmark.executor.resources import Resources

Progress = Callable[[str, int, int], None]
"""Called with a label, steps done, steps in all; from any thread."""
Say = Callable[[str], None]
"""Takes a sentence for the organiser, such as that a worker was lost; from any thread."""


class Executor(Protocol):
    """What `open_executor` gives."""

    def submit(self, function: Callable[[Any], Any], job: Any, resources: Resources, *, key: str = "") -> Future[Any]:
        """Have `function(job)` done where `resources` are free. Both can be pickled; `key` names the job in sentences."""


def open_executor(
    config: ExecutorConfig | None = None, *, progress: Progress | None = None, say: Say | None = None
) -> AbstractContextManager[Executor]:
    """The executor that `config` describes (default: processes on this machine), as a context manager.

    `progress` is told what jobs report with `executor.progress.report`, `say` what the organiser should know. Entering raises
    `InfrastructureError`: `missing_extra` when Dask is not installed, `cluster_lost` when the cluster cannot be reached.
    """
    config = config or ExecutorConfig()
    if config.kind == "local":
        from benchmark.executor.local import LocalExecutor

        return LocalExecutor(config, progress=progress, say=say)
    from benchmark.executor.cluster import open_cluster

    return open_cluster(config, progress=progress, say=say)


__all__ = ["Executor", "ExecutorConfig", "Progress", "Resources", "Say", "load", "open_executor"]
