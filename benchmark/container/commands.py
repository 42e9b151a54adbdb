"""Command lines of the engines, made from records by one pure function each. Nothing here runs anything.

The sandbox is the same everywhere: no network, read-only root, no capabilities, no new privileges, few system calls, an ordinary
user, memory without swap, processors, processes, open files and file size limited, /tmp in memory, nothing of the host but the binds.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmark.container.records import EngineName, ImageRecord, Invocation, Runtime

GRACE_SECONDS = 5
"""Time between TERM and KILL."""
OWNER_LABEL = "radbench.owner"
"""Label that says which process of the harness a container belongs to."""

CACHES = {
    "HOME": "/tmp",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/numba",
    "TRITON_CACHE_DIR": "/tmp/triton",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",
    "CUDA_CACHE_PATH": "/tmp/cuda",
}
"""The root is read-only, and these programs write where they are told by their variable."""


def environment(image: ImageRecord) -> dict[str, str]:
    """Variables for a container of this image: caches in /tmp, and what the image keeps below its home still found.

    Moving HOME would hide what `pip install --user` and the download caches of Torch and Hugging Face put there when the image was
    built, so these keep pointing to the image's own home. A choice that the image makes for one of the latter is respected.
    """
    own = image.environment
    home = own.get("HOME", image.home).rstrip("/")
    kept = {
        "PYTHONUSERBASE": f"{home}/.local",
        "TORCH_HOME": f"{own.get('XDG_CACHE_HOME', home + '/.cache')}/torch",
        "HF_HOME": f"{own.get('XDG_CACHE_HOME', home + '/.cache')}/huggingface",
    }
    return {
        **CACHES,
        **({} if "XDG_CACHE_HOME" in own else {"XDG_CACHE_HOME": "/tmp/cache"}),
        **{name: value for name, value in kept.items() if name not in own},
    }


def create(runtime: Runtime, invocation: Invocation) -> list[str]:
    """The command that makes a container (Docker, Podman) or runs it (Apptainer, which knows no such difference)."""
    return _CREATE[runtime.name](runtime, invocation)


def podman(runtime: Runtime, invocation: Invocation) -> list[str]:
    """Podman: what it would do beyond Docker (tmpfs on /run, systemd in containers, proxies from the host) is turned off."""
    line = [
        *_common(runtime, invocation),
        "--read-only-tmpfs=false",
        "--image-volume=tmpfs",
        "--http-proxy=false",
        "--systemd=false",
        # A hook of NVIDIA's older toolkit would bring GPUs in that an image asks for; CDI does not read it.
        "--env=NVIDIA_VISIBLE_DEVICES=void",
    ]
    if runtime.rootless:
        # Files in /output then belong to the user who runs the harness.
        line.append(f"--userns=keep-id:uid={invocation.sandbox.uid},gid={invocation.sandbox.gid}")
    if invocation.gpu:
        line.append(f"--device=nvidia.com/gpu={invocation.gpu}")
    return [*line, invocation.image]


def docker(runtime: Runtime, invocation: Invocation) -> list[str]:
    """Docker: the image's volumes go to memory, and proxies of the client's configuration are emptied."""
    line = _common(runtime, invocation)
    taken = {"/tmp", "/dev/shm", *(bind.target for bind in invocation.binds)}
    for volume in invocation.volumes:
        if volume.rstrip("/") not in taken:
            line.append(f"--tmpfs={volume}:rw,nosuid,nodev,size={invocation.sandbox.tmp_mb}m")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        line += [f"--env={name}=", f"--env={name.lower()}="]
    if invocation.gpu:
        line.append("--gpus=" + ("all" if invocation.gpu == "all" else f'"device={invocation.gpu}"'))
    else:
        # Where NVIDIA's runtime is the default, an image's own variable would bring a GPU in.
        line.append("--env=NVIDIA_VISIBLE_DEVICES=void")
    return [*line, invocation.image]


def _common(runtime: Runtime, invocation: Invocation) -> list[str]:
    box = invocation.sandbox
    line = [
        runtime.executable,
        "create",
        f"--name={invocation.name}",
        f"--label={OWNER_LABEL}={invocation.owner}",
        "--pull=never",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--security-opt=seccomp={runtime.seccomp}",
        f"--user={box.uid}:{box.gid}",
        *(["--init"] if runtime.init else []),
        f"--memory={box.memory_mb}m",
        f"--memory-swap={box.memory_mb}m",
        f"--cpus={box.cpus:g}",
        f"--pids-limit={box.pids}",
        f"--ulimit=nofile={runtime.nofile}:{runtime.nofile}",
        f"--ulimit=nproc={runtime.nproc}:{runtime.nproc}",
        f"--ulimit=fsize={box.file_mb * 2**20}:{box.file_mb * 2**20}",
        "--ulimit=core=0:0",
        f"--shm-size={box.shm_mb}m",
        f"--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size={box.tmp_mb}m",
        "--ipc=private",
        "--hostname=radbench",
        "--log-driver=none",
        "--no-healthcheck",
        "--stop-signal=SIGTERM",
        f"--stop-timeout={GRACE_SECONDS}",
    ]
    for bind in invocation.binds:
        access = "rw" if bind.writable else "ro"
        line.append(f"--volume={bind.source}:{bind.target}:{access},{'z' if bind.shared else 'Z'}")
    line += [f"--env={name}={value}" for name, value in sorted(invocation.environment.items())]
    return line


def apptainer(runtime: Runtime, invocation: Invocation) -> list[str]:
    """Apptainer: it runs as the caller, in namespaces of its own, with a folder of the host as /tmp among the binds.

    Its limits need control groups that were given to the user; where there are none, `runtime.limits` is false and they are
    left out, which the row says.
    """
    box = invocation.sandbox
    line = [
        runtime.executable,
        "run",
        "--containall",
        "--no-home",
        "--cleanenv",
        "--no-umask",
        "--no-privs",
        "--net",
        "--network=none",
        "--no-mount=hostfs,bind-paths",
        f"--pwd={invocation.workdir or '/'}",
    ]
    if runtime.limits:
        line += [
            f"--memory={box.memory_mb}M",
            f"--memory-swap={box.memory_mb}M",
            f"--cpus={box.cpus:g}",
            f"--pids-limit={box.pids}",
        ]
    if invocation.gpu:
        line.append("--nv")
        if invocation.gpu != "all":
            line.append(f"--env=CUDA_VISIBLE_DEVICES={invocation.gpu}")
    for bind in invocation.binds:
        line.append(f"--bind={bind.source}:{bind.target}:{'rw' if bind.writable else 'ro'}")
    # HOME cannot be set by --env; the option that sets it would bind a folder.
    line += [f"--env={name}={value}" for name, value in sorted(invocation.environment.items()) if name != "HOME"]
    return [*line, invocation.image]


_CREATE: dict[EngineName, Callable[[Runtime, Invocation], list[str]]] = {
    "podman": podman,
    "docker": docker,
    "apptainer": apptainer,
}
