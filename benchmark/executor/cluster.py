"""Jobs on a Dask cluster: one that runs, by address, or one that is started for us, by the name of its class.

Dask decides where a job runs, by the resources that workers declare (`GPU`; `MEMORY` in bytes; `CPU`), and gives a job whose worker
was killed to another. On the worker the job has a process of its own, see `benchmark.executor.remote`. All folders lie on a file system
that every worker sees under the same name.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from benchmark.errors import InfrastructureError, RadbenchError, UsageError
from benchmark.executor.config import ExecutorConfig
from benchmark.executor.options import started
from benchmark.executor.resources import Resources
from benchmark.executor.worker import WorkerLost

LOOK_SECONDS = 5.0
"""For so long what the workers declare is taken to be as it was."""
FINISH_SECONDS = 0.05


@contextlib.contextmanager
def open_cluster(
    config: ExecutorConfig,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[ClusterExecutor]:
    """Reach the cluster, or start it; leaving the block waits for what was handed in, or cancels it after an exception.

    Raises `InfrastructureError`: `missing_extra` where a package is not installed, `cluster_lost` when the cluster cannot be reached or
    started; `UsageError('bad_value')` for a class that does not exist or does not take its options.
    """
    distributed = _import("distributed", "cluster")
    import dask

    with contextlib.ExitStack() as stack:
        # Where the scheduler is ours, it gives a job to another worker as often as the configuration says.
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": config.retries}))
        where: Any = config.address
        if config.cluster:
            where = stack.enter_context(_start(config, say or (lambda text: None)))
        try:
            client = distributed.Client(where, timeout=config.wait_seconds, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise _lost(config, f"{type(error).__name__}: {error}") from None
        stack.callback(_close, client)
        executor = ClusterExecutor(client, config, progress=progress, say=say)
        try:
            yield executor
            executor.drain()
        except BaseException:
            executor.cancel()
            raise


class ClusterExecutor:
    """See `benchmark.executor.Executor`."""

    def __init__(
        self,
        client: Any,
        config: ExecutorConfig,
        *,
        progress: Callable[[str, int, int], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`client` is a `distributed.Client`."""
        self.client, self.config, self.progress, self.say = client, config, progress, say or (lambda text: None)
        self._lock = threading.Lock()
        self._open: dict[Future[Any], Any] = {}
        self._seen: tuple[float, list[Mapping[str, float]]] = (-math.inf, [])
        self._topic = ""
        if progress is not None:
            self._topic = f"radbench-progress-{client.id}"
            client.subscribe_topic(self._topic, lambda event: progress(*event[1]))

    def submit(self, function: Callable[[Any], Any], job: Any, resources: Resources, *, key: str = "") -> Future[Any]:
        """See `benchmark.executor.Executor`. The future fails with `InfrastructureError`: `cluster_lost`, `worker_lost`, and
        `worker_unfit` when no worker has what the job needs or the worker is not like us."""
        name = key or getattr(function, "__name__", "job")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._send(future, function, job, resources, name, [])
        return future

    def drain(self) -> None:
        """Wait until everything that was handed in is done."""
        while self._open:
            time.sleep(FINISH_SECONDS)

    def cancel(self) -> None:
        """Take back what was handed in; workers interrupt what they are doing."""
        with self._lock:
            waiting, self._open = list(self._open.items()), {}
        with contextlib.suppress(Exception):
            self.client.cancel([remote for _, remote in waiting], force=True)
        for future, _ in waiting:
            _fail(future, InfrastructureError("cluster_lost", "the job was taken back"))

    def _send(self, future: Future[Any], function: Any, job: Any, needs: Resources, name: str, lost: list[str]) -> None:
        from benchmark.executor import remote

        try:
            asked = fitting(needs, self._declared(), name, self.say, self.config)
            task = self.client.submit(
                remote.carry_out,
                function,
                job,
                needs.gpus,
                remote.version(),
                self._topic,
                key=f"{name}-{uuid.uuid4().hex}",
                resources=asked,
                retries=0,  # what a job raises is for whoever planned it; Dask repeats what a lost worker had
                pure=False,
            )
        except RadbenchError as error:
            future.set_exception(error)
            return
        except Exception as error:
            future.set_exception(_lost(self.config, f"{type(error).__name__}: {error}"))
            return
        with self._lock:
            self._open[future] = task

        def ended(task: Any) -> None:
            try:
                result, error = self._outcome(task, name)
            except WorkerLost as problem:
                reasons = [*lost, str(problem)]
                if len(reasons) <= self.config.retries:
                    self.say(f"{name}: its process was lost ({problem}). It is done again.")
                    self._send(future, function, job, needs, name, reasons)
                    return
                result, error = None, _worker_lost(name, "; ".join(reasons))
            with self._lock:
                if self._open.pop(future, None) is None:
                    return
            _fail(future, error) if error is not None else future.set_result(result)

        task.add_done_callback(ended)

    def _outcome(self, task: Any, name: str) -> tuple[Any, BaseException | None]:
        """What came of a task: its result or its error. Raises `WorkerLost` when the job's process was killed."""
        from distributed import KilledWorker

        if task.status in ("cancelled", "lost"):
            return None, _lost(self.config, "the connection broke while jobs were running")
        try:
            return task.result(timeout=self.config.wait_seconds), None
        except WorkerLost:
            raise
        except KilledWorker as error:
            return None, _worker_lost(name, f"{error.allowed_failures + 1} workers died with it")
        except RadbenchError as error:
            return None, error
        except Exception as error:
            if task.status == "error":
                return None, error
            return None, _lost(self.config, f"{type(error).__name__}: {error}")

    def _declared(self) -> list[Mapping[str, float]]:
        """The resources that each worker declares."""
        with self._lock:
            when, found = self._seen
            if time.monotonic() - when > LOOK_SECONDS:
                workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
                found = [dict(worker.get("resources") or {}) for worker in workers]
                self._seen = (time.monotonic(), found)
            return found


def fitting(
    needs: Resources,
    declared: list[Mapping[str, float]],
    name: str,
    say: Callable[[str], None],
    config: ExecutorConfig,
) -> dict[str, float]:
    """What to ask Dask for. A resource that no worker declares is not asked for, since such a job would wait for ever; one that no worker
    has enough of is asked for as far as the largest goes. Raises `InfrastructureError('worker_unfit')` where only a GPU would do."""
    asked: dict[str, float] = {}
    if needs.gpus:
        asked["GPU"] = float(needs.gpus)
        if declared and not any(worker.get("GPU", 0) >= needs.gpus for worker in declared):
            raise InfrastructureError(
                "worker_unfit",
                f"{name} needs a GPU, and none of the {len(declared)} workers declares one",
                expected='workers started with --resources "GPU=1"',
            )
    # Where no worker has come up yet, what the configuration says each will have.
    planned: dict[str, float] = {"MEMORY": config.memory_mb * 2.0**20} if config.memory_mb and config.cluster else {}
    for resource, wanted in (("MEMORY", needs.memory_mb * 2.0**20), ("CPU", needs.cpus)):
        most = max((worker.get(resource, 0.0) for worker in declared or [planned]), default=0.0)
        if most and wanted > most and resource == "MEMORY":
            say(
                f"{name} needs {needs.memory_mb} MiB, more than the {most / 2**20:.0f} MiB of the largest worker: "
                "it runs alone there and may be killed."
            )
        if most:
            asked[resource] = min(wanted, most)
    return asked


@contextlib.contextmanager
def _start(config: ExecutorConfig, say: Callable[[str], None]) -> Iterator[Any]:
    """Start the cluster that the configuration names, with its workers; close it at the end."""
    module, _, name = config.cluster.rpartition(".")
    extra = {"dask_jobqueue": "slurm", "dask_kubernetes": "kubernetes"}.get(module.partition(".")[0], "cluster")
    found = getattr(_import(module, extra), name, None)
    if found is None:
        raise UsageError("bad_value", f"executor.cluster: {module} has no {name}", expected="the name of a class")
    options, remarks = started(config)
    for remark in remarks:
        say(remark)
    submit = getattr(getattr(found, "job_cls", None), "submit_command", "")
    if submit and shutil.which(submit.split()[0]) is None:
        raise InfrastructureError(
            "cluster_lost",
            f"{config.cluster} needs the command {submit.split()[0]}, which this machine does not have",
            action="Run radbench where jobs of the queue are submitted, such as on the login node.",
        )
    try:
        cluster = found(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "bad_value", f"executor.options: {config.cluster} does not take them ({_first_line(error)})"
        ) from None
    except Exception as error:
        raise InfrastructureError(
            "cluster_lost", f"{config.cluster} could not be started ({_first_line(error)})"
        ) from error
    try:
        _scale(cluster, config.workers or 1)
    except Exception as error:
        _shut(cluster)
        raise InfrastructureError(
            "cluster_lost", f"{config.cluster} could not start workers ({' '.join(str(error).split())})"
        ) from error
    try:
        yield cluster
    finally:
        _shut(cluster)


def _scale(cluster: Any, workers: int) -> None:
    """Ask for workers, and hear of it when the queue refuses them: scaling by itself goes on in the background, and tells nobody."""
    if not hasattr(cluster, "_correct_state"):
        cluster.scale(workers)
        return

    async def ask() -> None:
        cluster.scale(workers)
        await cluster._correct_state()  # before what `scale` put off until the loop is free, and in its place

    cluster.sync(ask)


def _shut(cluster: Any) -> None:
    with contextlib.suppress(Exception):
        cluster.close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _import(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InfrastructureError(
            "missing_extra", f"{module} is not installed ({error})", action=f"Run `pip install 'radbench[{extra}]'`."
        ) from None


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close(timeout=5)


def _fail(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _lost(config: ExecutorConfig, why: str) -> InfrastructureError:
    return InfrastructureError("cluster_lost", f"the Dask scheduler at {config.address or config.cluster}: {why}")


def _worker_lost(name: str, how: str) -> InfrastructureError:
    return InfrastructureError("worker_lost", f"{name}: its workers were lost ({how})")
