"""A real Slurm of one node on this machine, from Debian's packages, without systemd: munged, slurmctld and slurmd by hand."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing() -> str:
    """Why there can be no Slurm here; empty when there can."""
    absent = [name for name in NEEDED if shutil.which(name, path=SEARCH) is None]
    if absent:
        return f"{', '.join(absent)} not found; `apt-get install --no-install-recommends slurm-wlm munge`"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as other users and so needs root"


def configuration(folder: Path, ports: tuple[int, int]) -> str:
    """slurm.conf: processes are followed by /proc, nothing is limited by control groups. The GPU is a
    device file that is none."""
    host = socket.gethostname().split(".")[0]
    return f"""\
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=night Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:1
"""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Slurm, while the block lasts; SLURM_CONF leads to it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    path = folder / "slurm.conf"
    path.write_text(configuration(folder, (_port(), _port())), "utf-8")
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n", "utf-8")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ |= {"SLURM_CONF": str(path), "PATH": SEARCH}
    options = [f"--{name}-file={folder}/munge.{name}" for name in ("log", "pid", "seed")]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        commands = (
            ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}", *options],
            ["slurmctld", "-D"],
            ["slurmd", "-D"],
        )
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as log:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists(), "munged")
        _until(lambda: b"idle" in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True).stdout, "slurm")
        yield
    finally:
        subprocess.run(["scancel", "--partition=night"], capture_output=True, timeout=20)
        time.sleep(1)
        for daemon in reversed(daemons):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _until(condition: object, what: str) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come up within 30 s")
        time.sleep(0.2)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
