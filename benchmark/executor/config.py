"""`[executor]` of radbench.toml: where jobs are done, and with how much of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import UsageError
from benchmark.record import Record

FILE = "radbench.toml"
"""Name of the organiser's configuration."""


class ExecutorConfig(Record):
    """Where jobs are done. Nothing need be given: the default is this machine, with all of its cores, memory and GPUs."""

    kind: Literal["local", "dask"] = "local"
    """`local`: processes on this machine; `dask`: a Dask cluster."""
    workers: int = Field(default=0, ge=0)
    """Local: jobs at the same time, at most (0: one a core and one more a GPU). Dask: workers that `cluster` is scaled to (0: one)."""
    memory_mb: int = Field(default=0, ge=0)
    """Memory for jobs, in MiB; local: of this machine in all (0: nine tenths of what it or its control group has); Dask: of each worker
    that `cluster` starts (0: what the cluster's own options say)."""
    gpus: int | tuple[str, ...] = -1
    """GPUs for jobs; local: how many of this machine, or which, by index or UUID (-1: all that NVML sees, or that CUDA_VISIBLE_DEVICES
    leaves); Dask: how many each worker that `cluster` starts has (-1: none)."""
    retries: int = Field(default=2, ge=0)
    """How often a job is done again when its worker was killed, such as for want of memory."""
    address: str = ""
    """Dask: address of a scheduler that runs, such as `tcp://head:8786`."""
    cluster: str = ""
    """Dask: class of a cluster to start, such as `dask_jobqueue.SLURMCluster` or `dask_kubernetes.operator.KubeCluster`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Dask: what the class is called with, such as `queue`, `account`, `walltime`; see its own documentation."""
    wait_seconds: float = Field(default=60, gt=0)
    """Dask: how long to try to reach the scheduler, at the start and after the connection was lost."""

    @property
    def gpus_each(self) -> int:
        """Dask: GPUs of each worker that `cluster` starts."""
        return max(self.gpus, 0) if isinstance(self.gpus, int) else len(self.gpus)

    @model_validator(mode="after")
    def _consistent(self) -> ExecutorConfig:
        if isinstance(self.gpus, int) and self.gpus < -1:
            raise ValueError(f"gpus: found {self.gpus}, expected a number, or -1 for all")
        if self.kind == "dask" and not isinstance(self.gpus, int):
            raise ValueError('gpus: a list is for kind = "local"; Dask counts them')
        if self.kind == "dask" and bool(self.address) == bool(self.cluster):
            raise ValueError('kind = "dask" needs either address or cluster')
        if self.kind == "local" and (named := [n for n in ("address", "cluster", "options") if getattr(self, n)]):
            raise ValueError(f'{", ".join(named)}: only with kind = "dask"')
        if self.options and not self.cluster:
            raise ValueError("options: only with cluster")
        if self.cluster and "." not in self.cluster:
            raise ValueError(f"cluster: found {self.cluster!r}, expected module.Class")
        return self


def load(path: Path | None) -> ExecutorConfig:
    """The table `[executor]` of a TOML file; the default where there is no file or no table.

    Raises `UsageError('bad_value')`, which names the file and every key that is wrong.
    """
    if path is None or not path.exists():
        return ExecutorConfig()
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("executor", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("bad_value", f"{path} cannot be read ({error})", expected="TOML in UTF-8") from None
    return parse(table, str(path))


def parse(table: object, where: str) -> ExecutorConfig:
    """The record from the content of the table. Raises `UsageError('bad_value')`."""
    try:
        return ExecutorConfig.model_validate(table)
    except ValidationError as error:
        problems = [
            f"executor{''.join(f'.{part}' for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        known = ", ".join(ExecutorConfig.model_fields)
        raise UsageError("bad_value", f"{where}: {'; '.join(problems)}", expected=f"the keys {known}") from None
