"""What a cluster's class is called with: the organiser's options, and what tells its workers to declare their resources."""

from __future__ import annotations

import sys
from typing import Any

from dask.utils import parse_bytes

from benchmark.executor.admission import SHARE
from benchmark.executor.config import ExecutorConfig


def started(config: ExecutorConfig) -> tuple[dict[str, Any], list[str]]:
    """Options for the class that `config.cluster` names, and sentences for the organiser. What the organiser gave is never replaced."""
    family = config.cluster.partition(".")[0]
    if family == "dask_jobqueue":
        return _jobqueue(config)
    if family == "dask_kubernetes":
        return _kubernetes(config), []
    if family in ("distributed", "dask"):
        return _local(config), []
    return dict(config.options), []


def declared(gpus: int, memory_bytes: float, cpus: float) -> dict[str, float]:
    """Resources of one worker, by Dask's names; what is not known is left out."""
    found = {"GPU": float(max(gpus, 0)), "MEMORY": float(int(memory_bytes)), "CPU": float(cpus)}
    return {name: value for name, value in found.items() if value > 0}


def in_words(resources: dict[str, float]) -> str:
    """As the worker's option `--resources` has them; with commas, which no shell splits."""
    return ",".join(f"{name}={value:.0f}" for name, value in resources.items())


def _jobqueue(config: ExecutorConfig) -> tuple[dict[str, Any], list[str]]:
    """Slurm, PBS, LSF and the like: one process a job of the queue, in this environment, with a GPU where one is asked for."""
    options = dict(config.options)
    remarks = []
    if config.memory_mb:
        options.setdefault("memory", f"{config.memory_mb}MiB")
    options.setdefault("cores", 2)
    options.setdefault("processes", 1)  # else it is guessed from the cores, and each gets a part of the memory
    options.setdefault("python", sys.executable)
    memory = parse_bytes(options["memory"]) if options.get("memory") else 0
    share = memory * SHARE / options["processes"]
    resources = declared(config.gpus_each, share, options["cores"] / options["processes"])
    given = list(options.get("worker_extra_args", ()))
    if "--resources" not in given and resources:
        options["worker_extra_args"] = [*given, "--resources", in_words(resources)]
    if config.gpus_each > 0:
        directives = list(options.get("job_extra_directives", ()))
        if config.cluster.endswith(".SLURMCluster"):
            if not any("gres" in line or "gpus" in line for line in directives):
                options["job_extra_directives"] = [*directives, f"--gres=gpu:{config.gpus_each}"]
        elif not directives:
            remarks.append(
                "executor.options.job_extra_directives asks for no GPU; each queue has its own words for it, see docs/executor.md."
            )
    if "walltime" not in options:
        remarks.append(
            "executor.options.walltime is not set: dask-jobqueue's default ends each worker after 30 minutes, with the job it has."
        )
    return options, remarks


def _kubernetes(config: ExecutorConfig) -> dict[str, Any]:
    """A cluster of the Dask operator; its pods ask for what a worker declares."""
    options = dict(config.options)
    resources = declared(config.gpus_each, config.memory_mb * 2**20 * SHARE, 0)
    if resources:
        options.setdefault("worker_command", ["dask", "worker", "--resources", in_words(resources)])
    if "resources" not in options:
        asked: dict[str, Any] = {}
        if config.memory_mb:
            asked["memory"] = f"{config.memory_mb}Mi"
        if config.gpus_each > 0:
            asked["nvidia.com/gpu"] = config.gpus_each
        if asked:
            options["resources"] = {"requests": dict(asked), "limits": dict(asked)}
    options.setdefault("n_workers", config.workers or 1)
    return options


def _local(config: ExecutorConfig) -> dict[str, Any]:
    """Processes on this machine: Dask's own cluster, to try a configuration with."""
    options = dict(config.options)
    options.setdefault("n_workers", config.workers or 1)
    options.setdefault("threads_per_worker", 2)
    options.setdefault("processes", True)
    options.setdefault("dashboard_address", ":0")  # any free port
    resources = declared(config.gpus_each, config.memory_mb * 2**20, options["threads_per_worker"])
    options.setdefault("resources", resources)
    return options
