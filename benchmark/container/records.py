"""Frozen records of the container room: an engine as found, an image as taken in, and one container as it is to be run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.container import seccomp
from benchmark.record import Record

EngineName = Literal["podman", "docker", "apptainer"]
Mode = Literal["exec", "invoke"]
"""`exec`: the entry point runs once a case; `invoke`: a warm server answers `POST /invoke` once a case."""

MODE_LABEL = "org.grand-challenge.api-method"
"""Label of an image that asks for invoke mode with the value `invoke`."""


class Runtime(Record):
    """A container engine of this machine, as `discovery.find_engine` found it."""

    name: EngineName
    """Which of the engines."""
    executable: str
    """Path of its command."""
    version: str = ""
    """What it says of its version."""
    rootless: bool = False
    """Whether its containers' root is an ordinary user of this machine."""
    limits: bool = True
    """Whether it can hold a container to memory, processors and processes (Apptainer cannot everywhere)."""
    init: bool = True
    """Whether it has an init process to put first into a container."""
    nofile: int = Field(default=16384, gt=0)
    """Open files that a container may have: 16384, or what this machine allows if that is less."""
    nproc: int = Field(default=32768, gt=0)
    """RLIMIT_NPROC of the container. The engine's own default may be more than the machine allows, which makes every start fail; the
    limit that counts is that of the control group."""
    seccomp: str = str(seccomp.PROFILE)
    """Path of the profile of system calls that Docker and Podman are given. Apptainer answers every refused call with EPERM, after
    which the C library does not fall back and no thread can be started; it is given none, which its rows say."""


class ImageRecord(Record):
    """An image as it was taken in: everything that running it needs, pinned by the hash of its content."""

    digest: str
    """`sha256:…` of the image's configuration, which names each layer by hash; for a SIF file the hash of the file."""
    reference: str
    """What was asked for: an archive's path, a name in a registry or in the engine's store."""
    location: str = ""
    """What the engine runs: the digest, or for Apptainer the path of the SIF file."""
    architecture: str = "amd64"
    """Processor architecture."""
    system: str = "linux"
    """Operating system."""
    user: str = ""
    """USER as the image declares it."""
    uid: int = Field(ge=0)
    """The user's number, looked up in the image."""
    gid: int = Field(ge=0)
    """Number of the user's group."""
    home: str = "/"
    """The user's home in the image."""
    workdir: str = ""
    """Folder that the entry point starts in."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment that the image sets."""
    volumes: tuple[str, ...] = ()
    """Paths that the image declares as volumes."""
    size: int = 0
    """Bytes of the unpacked layers."""

    @property
    def mode(self) -> Mode:
        """How it wants to be called, from its label."""
        return "invoke" if self.labels.get(MODE_LABEL) == "invoke" else "exec"


class Bind(Record):
    """A folder of the host inside a container."""

    source: str
    """Path on the host."""
    target: str
    """Path in the container."""
    writable: bool = False
    """Whether the container may write there."""
    shared: bool = False
    """Whether other containers use it as well, for SELinux's labels."""


class Sandbox(Record):
    """What holds a container: numbers only; that it has no network, no capability and a read-only root is not optional."""

    uid: int = Field(gt=0)
    """User, never root."""
    gid: int = Field(gt=0)
    """Group, never root's."""
    memory_mb: int = Field(gt=0)
    """Memory in MiB, /tmp and /dev/shm included; swap is off."""
    cpus: float = Field(gt=0)
    """Processors."""
    pids: int = Field(gt=0)
    """Processes and threads."""
    shm_mb: int = Field(gt=0)
    """Size of /dev/shm in MiB."""
    tmp_mb: int = Field(gt=0)
    """Size of /tmp in MiB."""
    file_mb: int = Field(gt=0)
    """Largest single file in MiB."""


class Invocation(Record):
    """One container, complete: `commands.create` makes the engine's command line from it."""

    name: str
    """Name of the container."""
    image: str
    """Digest, or for Apptainer the path of the SIF file."""
    mode: Mode
    """How it is called."""
    sandbox: Sandbox
    """What holds it."""
    binds: tuple[Bind, ...]
    """The folders that it sees."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables set over the image's own."""
    gpu: str = ""
    """`all`, an index or a UUID; empty for none."""
    workdir: str = ""
    """Folder to start in; only Apptainer needs to be told."""
    volumes: tuple[str, ...] = ()
    """Volumes of the image, which become empty folders in memory."""
    owner: str = ""
    """Which process of the harness it belongs to, as a label: what is found without its owner is removed."""
