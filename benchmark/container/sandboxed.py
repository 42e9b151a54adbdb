"""The engine for strangers' images: exec mode a container a case, invoke mode a warm server, both in the whole sandbox."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmark.container import commands, gauge, ownership, seccomp
from benchmark.container.collect import collect
from benchmark.container.commands import GRACE_SECONDS
from benchmark.container.engine import CaseOutcome
from benchmark.container.intake import file_digest, recheck
from benchmark.container.logs import CappedLog
from benchmark.container.quota import OutputArea
from benchmark.container.reach import Reach
from benchmark.container.records import MODE_LABEL, Bind, ImageRecord, Invocation, Mode, Runtime, Sandbox
from benchmark.container.running import Container, new_container
from benchmark.container.staging import InputFormat, stage
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, SubmissionError

HEALTH_SECONDS = 0.2
"""Between two questions for the server's health."""


class ContainerEngine:
    """Runs one image that was taken in, under the task's limits."""

    def __init__(
        self,
        image: ImageRecord,
        runtime: Runtime,
        *,
        gpu: str = "",
        model: Path | None = None,
        cold: bool = False,
        inputs: InputFormat = "mha",
        scratch: Path | None = None,
    ) -> None:
        """`gpu`: `all`, an index or a UUID; empty for none. `model`: folder that is mounted at /opt/ml/model. `cold`: start a server
        afresh for each case. `inputs`: file format of its volumes. `scratch`: folder for inputs and outputs of the case that runs
        (default: the system's)."""
        self.image, self.runtime, self.gpu, self.model, self.scratch = image, runtime, gpu, model, scratch
        self.inputs = inputs
        # Output of a running server may be read only while it is held still, which Apptainer cannot do.
        self.is_cold = image.mode == "invoke" and (cold or runtime.name == "apptainer")

    @property
    def mode(self) -> Mode:
        """How the image is called."""
        return self.image.mode

    @property
    def name(self) -> str:
        """Name on the row, such as `podman/invoke`."""
        return f"{self.runtime.name}/{self.mode}"

    @property
    def digest(self) -> str:
        """What is run."""
        return self.image.digest

    @property
    def flags(self) -> tuple[str, ...]:
        """All besides image, inputs and limits that outputs may depend on; part of the inference key."""
        parts = [self.name]
        if self.runtime.name != "apptainer":
            parts.append(f"seccomp {seccomp.digest(Path(self.runtime.seccomp))}")
        if self.inputs != "mha":
            parts.append(f"inputs {self.inputs}")
        if self.gpu:
            parts.append("gpu")
        if self.model is not None:
            files = sorted(path for path in self.model.rglob("*") if path.is_file())
            parts += [f"{path.relative_to(self.model)} {file_digest(path)}" for path in files]
        return tuple(parts)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences that the row must carry because of the engine."""
        said = []
        if not self.runtime.limits:
            said.append(f"{self.runtime.name} could not limit memory, processors and processes on this machine.")
        if self.runtime.name == "apptainer":
            said.append("apptainer ran it without the filter of system calls that the other engines are given.")
        return tuple(said)

    @property
    def hardware(self) -> str:
        """Name of the GPU; empty where there is none or it cannot be asked."""
        gpu = gauge.open_gpu(self.gpu)
        if gpu is None:
            return ""
        try:
            return gpu.name
        finally:
            gpu.close()

    def cold(self) -> ContainerEngine:
        """The same engine with a fresh start for each case."""
        return ContainerEngine(
            self.image,
            self.runtime,
            gpu=self.gpu,
            model=self.model,
            cold=True,
            inputs=self.inputs,
            scratch=self.scratch,
        )

    @contextlib.contextmanager
    def session(self, limits: Limits, log: Path) -> Iterator[ContainerSession]:
        """Check that the image is the one that was taken in, start it (invoke mode), remove everything at the end.

        Raises `SubmissionError('image_changed')` when it is not; `InfrastructureError` when the engine fails.
        """
        ownership.sweep(self.runtime)
        recheck(self.image, self.runtime)
        folder = Path(tempfile.mkdtemp(prefix=ownership.PREFIX, dir=self.scratch))
        session: ContainerSession | None = None
        try:
            ownership.mark(folder)
            session = (InvokeSession if self.mode == "invoke" else ExecSession)(self, limits, folder, log)
            session.open()
            yield session
        finally:
            try:
                if session is not None:
                    session.close()
            finally:
                shutil.rmtree(folder, ignore_errors=True)


class ContainerSession:
    """What both modes share: the folders, the sandbox, a container made of them."""

    warm = False
    """Whether one server answers all cases."""

    def __init__(self, engine: ContainerEngine, limits: Limits, folder: Path, log: Path) -> None:
        self.engine, self.limits, self.folder = engine, limits, folder
        self.start_seconds = 0.0
        self.log = CappedLog(log, limits.log_kb * 1024)
        image = engine.image
        self.uid, self.gid = image.uid, image.gid
        if os.geteuid() and engine.runtime.name != "podman":
            # Docker's daemon would leave files of a number that is not ours, which we could not delete; Apptainer runs as us.
            self.uid, self.gid = os.geteuid(), os.getegid()
        self.input = folder / "input"
        self.input.mkdir()
        self.gpu = gauge.open_gpu(engine.gpu)
        self.area = OutputArea(folder, limits.output_mb, self.uid, self.gid)

    def open(self) -> None:
        """Get ready for the first case."""

    def close(self) -> None:
        """Remove everything."""
        self.area.close()
        if self.gpu is not None:
            self.gpu.close()

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """One case; see `engine.Session`."""
        raise NotImplementedError

    def invocation(self) -> Invocation:
        """The container that is run for the next case, or for all."""
        limits, image, engine = self.limits, self.engine.image, self.engine
        binds = [
            Bind(source=str(self.input), target="/input"),
            Bind(source=str(self.area.path), target="/output", writable=True),
        ]
        if engine.model is not None:
            binds.append(Bind(source=str(engine.model.resolve()), target="/opt/ml/model", shared=True))
        if engine.runtime.name == "apptainer":
            temporary = self.folder / "tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            binds.append(Bind(source=str(temporary), target="/tmp", writable=True))
        memory = limits.memory_mb
        return Invocation(
            name=f"radbench-{uuid.uuid4().hex[:16]}",
            image=image.location or image.digest,
            mode=image.mode,
            sandbox=Sandbox(
                uid=self.uid,
                gid=self.gid,
                memory_mb=memory,
                cpus=min(limits.cpus, float(os.cpu_count() or 1)),
                pids=limits.pids,
                shm_mb=limits.shm_mb,
                tmp_mb=memory,
                file_mb=max(memory, limits.shm_mb, limits.output_mb),
            ),
            binds=tuple(binds),
            environment=commands.environment(image),
            gpu=engine.gpu,
            workdir=image.workdir,
            volumes=image.volumes,
            owner=ownership.owner(),
        )

    def container(self) -> Container:
        """A container, not yet started."""
        return new_container(self.engine.runtime, self.invocation(), self.limits, self.area, self.log, self.gpu)

    def fresh_folders(self, inputs: Path) -> None:
        """Put the case into /input and nothing into /output."""
        stage(inputs, self.input, self.engine.inputs)
        self.area.empty()

    def collected(self, output: Path) -> SubmissionError | None:
        """Take over what lies in /output; the refusal, if there is one."""
        try:
            collect(self.area.path, output, self.limits.output_mb)
        except SubmissionError as error:
            return error
        return None


class ExecSession(ContainerSession):
    """A container a case; its entry point runs once and ends with 0."""

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """Start a container on fresh folders, wait for its end, take its output over when it is gone."""
        self.area.renew()
        self.fresh_folders(inputs)
        container = self.container()
        try:
            begin = time.monotonic()
            container.start()
            in_time = container.wait(self.limits.seconds)
            seconds = time.monotonic() - begin
            cost = container.cost()
            if in_time:
                problem = container.failure()
            else:
                container.stop()
                problem = container.verdict or SubmissionError(
                    "timeout", f"the container ran longer than {self.limits.seconds:g} s"
                )
        finally:
            container.remove()
        log = self.log.section()
        refused = self.collected(output)
        return _outcome(seconds, problem or refused, cost, log)


class InvokeSession(ContainerSession):
    """A server that answers case after case. One that fails in a case is removed, and the next case gets a new one.

    Between cases it is held still, so that nothing in it changes the folders while they are read and filled again.
    """

    def __init__(self, engine: ContainerEngine, limits: Limits, folder: Path, log: Path) -> None:
        super().__init__(engine, limits, folder, log)
        self.warm = not engine.is_cold
        self._server: Container | None = None
        self._reach: Reach | None = None

    def open(self) -> None:
        """Start the server; when it does not come up, the first case says so."""
        with contextlib.suppress(SubmissionError):
            self._start()

    def close(self) -> None:
        """Stop the server and remove everything."""
        try:
            self._stop()
        finally:
            super().close()

    def run(self, inputs: Path, output: Path) -> CaseOutcome:
        """Call the server once on fresh folders; hold it still, or end it, before its output is read."""
        problem: SubmissionError | None = None
        seconds, cost = 0.0, None
        try:
            if self._server is None or not self._server.alive:
                self._stop()
                self._start()
            server, reach = self._server, self._reach
            assert server is not None and reach is not None
            self.fresh_folders(inputs)
            before = server.snapshot()
            server.unpause()
            begin = time.monotonic()
            try:
                reach.invoke(self.limits.seconds)
            finally:
                seconds = time.monotonic() - begin
                cost = server.cost(before)
        except SubmissionError as error:
            problem = self._why(error)
            self._stop()
        except InfrastructureError:
            # The helper fails when the container goes away under it.
            if self._server is None or self._server.alive:
                raise
            problem = self._why(SubmissionError("crashed", "the server ended while it worked on the case"))
            self._stop()
        if problem is not None:
            log = self.log.section()
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
            return _outcome(seconds, problem, cost, log)
        return _outcome(seconds, self._take(output), cost, self.log.section())

    def _take(self, output: Path) -> SubmissionError | None:
        """Read the output while nothing in the container can change it."""
        server = self._server
        assert server is not None
        if not self.warm:
            self._stop()
            return server.verdict or self.collected(output)
        self._hold(server)
        return server.verdict or self.collected(output)

    def _why(self, error: SubmissionError) -> SubmissionError:
        """What the container's end says, where that says more than a broken connection."""
        server = self._server
        if server is None or error.code != "crashed":
            return (server.verdict if server else None) or error
        server.wait(1.0)
        if server.verdict is not None:
            return server.verdict
        if not server.alive:
            ended = server.failure()
            if ended is not None and ended.code == "out_of_memory":
                return ended
        elif server.snapshot().reading.oom_kills:
            return SubmissionError(
                "out_of_memory", "the container hit its memory limit", expected=f"at most {self.limits.memory_mb} MiB"
            )
        return error

    def _start(self) -> None:
        """Start a server and wait until it is ready. Raises `SubmissionError`: `crashed`, `timeout`, `out_of_memory`."""
        self.area.renew()
        begin = time.monotonic()
        server = self.container()
        self._server = server
        try:
            server.start()
            end = begin + self.limits.start_seconds
            while not (self._reached(server) and self._reach is not None and self._healthy(server)):
                if not server.alive:
                    raise server.failure() or SubmissionError(
                        "crashed",
                        "the server ended before it was ready, with exit code 0",
                        expected=f"a server on port 4743, as the image's label {MODE_LABEL} promises",
                    )
                if time.monotonic() > end:
                    raise SubmissionError(
                        "timeout",
                        f"the server was not ready after {self.limits.start_seconds:.0f} s",
                        expected="GET /health on port 4743 to answer 200",
                    )
                time.sleep(HEALTH_SECONDS)
            ready = time.monotonic() - begin
            if self.warm:
                self._hold(server)
        except BaseException:
            self._stop()
            raise
        self.start_seconds = self.start_seconds or ready

    @staticmethod
    def _hold(server: Container) -> None:
        """Hold the server still; one that ended by itself is still enough."""
        try:
            server.pause()
        except InfrastructureError:
            if not server.wait(1.0):
                raise

    def _reached(self, server: Container) -> bool:
        """Whether the helper is in the container's network, which it can be once the container has a process."""
        if self._reach is not None and self._reach.closed:
            self._reach = None
        if self._reach is None and server.alive and (pid := server.pid()):
            self._reach = Reach(self.engine.runtime, server.name, pid)
        return self._reach is not None

    def _healthy(self, server: Container) -> bool:
        assert self._reach is not None
        try:
            return self._reach.healthy()
        except InfrastructureError:
            if server.alive and server.wait(GRACE_SECONDS) is False:
                raise
            return False

    def _stop(self) -> None:
        server, self._server = self._server, None
        reach, self._reach = self._reach, None
        try:
            if reach is not None:
                reach.close()
        finally:
            if server is not None:
                try:
                    server.stop()
                finally:
                    server.remove()


def _outcome(seconds: float, problem: SubmissionError | None, cost: object, log: bytes) -> CaseOutcome:
    from benchmark.contract import CaseCost

    measured = cost if isinstance(cost, CaseCost) else None
    if problem is None:
        return CaseOutcome(seconds, cost=measured, log=log)
    return CaseOutcome(seconds, problem.code, problem.sentence, measured, log)
