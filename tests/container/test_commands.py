"""Command lines of every engine and mode, with and without GPU, word by word; and what must never be in one."""

from pathlib import Path

import pytest

from benchmark.container import commands
from benchmark.container.records import Bind, ImageRecord, Invocation, Mode, Runtime, Sandbox
from benchmark.record import Record

GOLDEN = Path(__file__).parent / "golden"
SECCOMP = "/srv/seccomp.json"

RUNTIMES = {
    "podman": Runtime(name="podman", executable="/usr/bin/podman", seccomp=SECCOMP),
    "podman-rootless": Runtime(name="podman", executable="/usr/bin/podman", rootless=True, init=False, seccomp=SECCOMP),
    "docker": Runtime(name="docker", executable="/usr/bin/docker", seccomp=SECCOMP),
    "apptainer": Runtime(name="apptainer", executable="/usr/bin/apptainer", rootless=True, init=False),
    "apptainer-no-limits": Runtime(name="apptainer", executable="/usr/bin/apptainer", limits=False),
}


def invocation(mode: Mode, gpu: str) -> Invocation:
    return Invocation(
        name="radbench-0123456789abcdef",
        image="sha256:" + "a" * 64,
        mode=mode,
        sandbox=Sandbox(
            uid=10001, gid=10002, memory_mb=8192, cpus=1.5, pids=1024, shm_mb=2048, tmp_mb=8192, file_mb=8192
        ),
        binds=(
            Bind(source="/tmp/s/input", target="/input"),
            Bind(source="/tmp/s/output", target="/output", writable=True),
            *([Bind(source="/srv/weights", target="/opt/ml/model", shared=True)] if mode == "invoke" else []),
        ),
        environment={"HOME": "/tmp", "MPLCONFIGDIR": "/tmp/matplotlib"},
        gpu=gpu,
        workdir="/opt/app",
        volumes=("/data", "/output"),
        owner="12.345",
    )


CASES = [(engine, mode, gpu) for engine in RUNTIMES for mode in ("exec", "invoke") for gpu in ("", "0", "all")]


@pytest.mark.parametrize(("engine", "mode", "gpu"), CASES)
def test_command_line_is_the_golden_one(engine: str, mode: Mode, gpu: str) -> None:
    line = commands.create(RUNTIMES[engine], invocation(mode, gpu))
    name = f"{engine}-{mode}-{'gpu-' + gpu if gpu else 'cpu'}.txt"
    assert "\n".join([*line, ""]) == (GOLDEN / name).read_text("utf-8")


def test_every_golden_file_belongs_to_a_case() -> None:
    assert len(list(GOLDEN.glob("*.txt"))) == len(CASES)


@pytest.mark.parametrize("mode", ["exec", "invoke"])
@pytest.mark.parametrize("engine", ["podman", "podman-rootless", "docker"])
def test_the_sandbox_is_whole(engine: str, mode: Mode) -> None:
    """Each line of the sandbox by itself, so that a golden file that was written anew cannot lose one."""
    line = commands.create(RUNTIMES[engine], invocation(mode, ""))
    for needed in (
        "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        f"--security-opt=seccomp={SECCOMP}", "--user=10001:10002",
        "--memory=8192m", "--memory-swap=8192m", "--cpus=1.5", "--pids-limit=1024", "--ulimit=nofile=16384:16384",
        "--shm-size=2048m", "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777,size=8192m", "--log-driver=none",
        "--pull=never", "--volume=/tmp/s/input:/input:ro,Z", "--volume=/tmp/s/output:/output:rw,Z",
    ):  # fmt: skip
        assert needed in line
    assert line[-1] == "sha256:" + "a" * 64
    writable = [word for word in line if word.startswith("--volume=") and ":rw" in word]
    assert writable == ["--volume=/tmp/s/output:/output:rw,Z"]
    for word in line:
        assert not word.startswith(("--privileged", "--cap-add", "--pid=host", "--publish", "--mount")), word
        assert "docker.sock" not in word and "host" not in word.replace("--hostname", "").replace("hostfs", "")


def test_a_gpu_comes_only_when_asked_for() -> None:
    for runtime in RUNTIMES.values():
        bare, with_gpu = (set(commands.create(runtime, invocation("exec", gpu))) for gpu in ("", "0"))
        assert not any("gpu" in word or word == "--nv" for word in bare)
        assert any("gpu" in word or word == "--nv" for word in with_gpu)


def test_a_root_user_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Sandbox(uid=0, gid=5, memory_mb=1, cpus=1, pids=1, shm_mb=1, tmp_mb=1, file_mb=1)


def image(**changes: object) -> ImageRecord:
    return ImageRecord.model_validate(
        {"digest": "sha256:1", "reference": "x", "uid": 5, "gid": 5, "home": "/home/a", **changes}
    )


def test_caches_go_to_tmp_and_what_the_home_holds_is_still_found() -> None:
    found = commands.environment(image())
    for name in (
        "HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR",
        "CUDA_CACHE_PATH",
    ):  # fmt: skip
        assert found[name].startswith("/tmp")
    assert found["PYTHONUSERBASE"] == "/home/a/.local"
    assert found["TORCH_HOME"] == "/home/a/.cache/torch"


def test_an_image_keeps_the_places_that_it_chose_for_its_weights() -> None:
    found = commands.environment(image(environment={"TORCH_HOME": "/opt/w", "XDG_CACHE_HOME": "/opt/c", "HOME": "/h"}))
    assert "TORCH_HOME" not in found and "XDG_CACHE_HOME" not in found
    assert found["HF_HOME"] == "/opt/c/huggingface"
    assert found["PYTHONUSERBASE"] == "/h/.local"
    assert found["HOME"] == "/tmp"


def test_records_are_frozen() -> None:
    record: Record = invocation("exec", "")
    with pytest.raises(ValueError, match="frozen"):
        record.name = "other"  # type: ignore[attr-defined]
