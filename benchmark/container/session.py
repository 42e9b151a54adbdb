"""A started image: its folders and its sandbox, which both modes share; exec mode, a container a case."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.container import commands, gauge, ownership
from benchmark.container.collect import collect
from benchmark.container.engine import CaseOutcome
from benchmark.container.logs import CappedLog
from benchmark.container.quota import OutputArea
from benchmark.container.records import Bind, Invocation, Sandbox
from benchmark.container.running import Container, new_container
from benchmark.container.staging import stage
from benchmark.contract import CaseCost, Limits
from benchmark.errors import SubmissionError

if TYPE_CHECKING:
    from benchmark.container.sandboxed import ContainerEngine


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
        return outcome(seconds, problem or refused, cost, log)


def outcome(seconds: float, problem: SubmissionError | None, cost: CaseCost | None, log: bytes) -> CaseOutcome:
    """What came of one case: success, or the problem's code and sentence."""
    code, reason = (problem.code, problem.sentence) if problem else ("", "")
    return CaseOutcome(seconds, code, reason, cost, log)
