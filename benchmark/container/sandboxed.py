"""The engine for strangers' images: one that was taken in, run under a task's limits in the whole sandbox."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmark.container import gauge, ownership, seccomp
from benchmark.container.intake import file_digest, recheck
from benchmark.container.records import ImageRecord, Mode, Runtime
from benchmark.container.server import InvokeSession
from benchmark.container.session import ContainerSession, ExecSession
from benchmark.container.staging import InputFormat
from benchmark.contract import Limits


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
