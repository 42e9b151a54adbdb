"""The examination tells fit machines from unfit ones; known escapes by version; a child in the sandbox looked at from inside."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmark import doctor, machine, probe
from benchmark.container.records import Runtime
from benchmark.contract import Limits
from benchmark.errors import InfrastructureError, UsageError
from benchmark.escapes import ESCAPES, Escape, affecting, distribution_fixed, parse
from benchmark.machine import Finding
from tests.command import RADBENCH
from tests.container import base

PODMAN = Runtime(name="podman", executable="/usr/bin/podman", version="5.8.5")


@pytest.mark.parametrize(
    ("program", "version", "expected"),
    [
        ("runc", "runc version 1.1.11", {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881", "CVE-2026-41579"}),
        ("runc", "1.1.15", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881", "CVE-2026-41579"}),
        ("runc", "1.2.8", {"CVE-2026-41579"}),  # the branch 1.2 got no fix for the last
        ("runc", "1.3.3", {"CVE-2026-41579"}),
        ("runc", "1.3.2", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881", "CVE-2026-41579"}),
        ("runc", "1.4.0-rc.2", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881", "CVE-2026-41579"}),
        ("runc", "1.4.0-rc.3", {"CVE-2026-41579"}),
        ("runc", "1.4.0", {"CVE-2026-41579"}),
        ("runc", "1.3.6", set()),
        ("runc", "1.4.3", set()),
        ("runc", "1.5.0-rc.2", {"CVE-2026-41579"}),
        ("runc", "1.5.2", set()),
        ("crun", "crun version 1.19.1", {"CVE-2025-24965"}),
        ("crun", "crun version 1.20", set()),
        ("podman", "podman 5.7.1", set()),
        ("podman", "podman 4.3.1", {"CVE-2026-55686"}),
        ("nvidia-container-toolkit", "CLI version 1.16.1", {"CVE-2024-0132", "CVE-2025-23359", "CVE-2025-23266", "CVE-2026-24260"}),
        ("nvidia-container-toolkit", "1.17.7", {"CVE-2025-23266", "CVE-2026-24260"}),
        ("nvidia-container-toolkit", "1.17.8", {"CVE-2026-24260"}),
        ("nvidia-container-toolkit", "1.19.1", set()),
        ("nvidia-driver", "NVIDIA driver 535.309.01", set()),
        ("nvidia-driver", "535.274.02", {"CVE-2026-24187"}),
        ("nvidia-driver", "570.211.01", {"CVE-2026-24187"}),  # a branch that has ended
        ("nvidia-driver", "580.159.04", set()),
        ("nvidia-driver", "610.10.01", set()),
        ("runc", "runc version unknown", set()),
    ],
)  # fmt: skip
def test_known_escapes_by_version(program: str, version: str, expected: set[str]) -> None:
    assert {escape.id for escape in affecting(program, version)} == expected


def test_the_table_of_escapes_can_be_read() -> None:
    for escape in ESCAPES:
        assert escape.id.startswith("CVE-20") and escape.what
        versions = [parse(version) for version in escape.fixed]
        assert None not in versions and versions == sorted(versions)  # type: ignore[type-var]


def test_a_fix_by_the_distribution_counts(tmp_path: Path) -> None:
    (tmp_path / "runc").mkdir()
    changes = b"runc (1.1.5+ds1-1+deb12u1)\n  * CVE-2024-21626: several container breakouts\n"
    (tmp_path / "runc/changelog.Debian.gz").write_bytes(gzip.compress(changes))
    fixed = distribution_fixed("runc", tmp_path)
    found = {escape.id for escape in affecting("runc", "1.1.5+ds1", fixed)}
    assert "CVE-2024-21626" not in found and "CVE-2025-31133" in found
    (tmp_path / "runc/changelog.Debian.gz").write_bytes(b"damaged")
    assert not distribution_fixed("runc", tmp_path)("CVE-2024-21626")


def test_the_line_on_a_version_says_what_and_what_to_do() -> None:
    line = doctor.version_line("runc", "runc version 1.1.11\nmore", affecting("runc", "1.1.11"))
    assert line.state == "warning" and "runc version 1.1.11: CVE-2024-21626: an image" in line.found
    assert "CVE-2026-41579" in line.found and "1.3.6, 1.4.3" in line.fix
    assert doctor.version_line("runc", "runc version 1.5.2", []).state == "ok"
    assert doctor.version_line("crun", "", []).state == "skipped"


def test_versions_are_read_from_the_engine_s_own_words() -> None:
    podman = {"host": {"ociRuntime": {"name": "runc", "version": "runc version 1.1.5+ds1\ncommit: x\ngo: go1.19.8"}}}
    found = {program: text for program, text, _ in doctor.installed(PODMAN, podman)}
    assert found["runc"] == "runc version 1.1.5+ds1" and found["podman"] == "podman 5.8.5"
    docker = {"Components": [{"Name": "Engine", "Version": "28.2.2"}, {"Name": "runc", "Version": "1.2.5"}]}
    found = {
        program: text for program, text, _ in doctor.installed(PODMAN.model_copy(update={"name": "docker"}), docker)
    }
    assert found["runc"] == "runc 1.2.5" and "podman" not in found


HELD = """\
/proc/self/status:Name:\tgrep
/proc/self/status:Uid:\t65534\t65534\t65534\t65534
/proc/self/status:CapEff:\t0000000000000000
/proc/self/status:NoNewPrivs:\t1
/proc/self/status:Seccomp:\t2
/proc/self/mounts:overlay / overlay ro,relatime 0 0
/proc/self/mounts:shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=2097152k 0 0
/proc/net/dev:Inter-|   Receive
/proc/net/dev:    lo:       0       0
/sys/fs/cgroup/memory.max:268435456
/sys/fs/cgroup/pids.max:64
/etc/shadow:root
"""


def test_a_sandbox_that_holds_has_no_gaps() -> None:
    inside = probe.parse(HELD)
    assert probe.gaps(inside) == [] and probe.shared_mb(inside) == 2048
    assert "/etc/shadow" not in inside.lines


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Uid:\t65534", "Uid:\t0", "runs as root"),
        ("0000000000000000", "00000000a80425fb", "has capabilities"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no-new-privileges"),
        ("Seccomp:\t2", "Seccomp:\t0", "no seccomp"),
        ("overlay ro", "overlay rw", "writable"),
        ("    lo:", "  eth0:       0\n/proc/net/dev:    lo:", "network (eth0)"),
        ("memory.max:268435456", "memory.max:max", "memory limit is not set"),
        ("memory.max:268435456", "memory.max:1073741824", "memory limit is 1024 MiB"),
        ("pids.max:64", "pids.max:max", "limit of processes"),
    ],
)
def test_each_gap_is_named(old: str, new: str, words: str) -> None:
    assert old in HELD
    (said,) = probe.gaps(probe.parse(HELD.replace(old, new)))
    assert words in said


def test_nothing_seen_is_not_taken_for_a_sandbox() -> None:
    assert len(probe.gaps(probe.parse(""))) >= 7


def test_a_real_child_in_the_sandbox_and_one_without(tmp_path: Path) -> None:
    """The probe finds the sandbox whole, and finds the gaps of a container that was started without it."""
    runtime = base.engine()
    with probe.image(runtime) as image:
        inside = probe.look(runtime, image)
        assert probe.gaps(inside) == [] and probe.shared_mb(inside) == probe.SANDBOX.shm_mb
        assert probe.namespaces(runtime, image) is False
        assert doctor.system_calls(runtime, image).state == "ok"
        open_profile = tmp_path / "open.json"
        open_profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
        loosened = runtime.model_copy(update={"seccomp": str(open_profile)})
        if Path("/proc/sys/user/max_user_namespaces").read_text().strip() != "0":
            assert doctor.system_calls(loosened, image).state == "failure"
        command = [runtime.executable, "run", "--rm", "--network=host", image, "grep", "-sH", "", *probe.FILES]
        loose = subprocess.run(
            command, capture_output=True, text=True, timeout=60
        ).stdout  # 2 for files that are not there
        gaps = " ".join(probe.gaps(probe.parse(loose)))
        assert all(word in gaps for word in ("root", "capabilities", "no-new-privileges", "writable", "memory"))
        with pytest.raises(InfrastructureError):
            probe.gpus(runtime, image)
    assert image not in base.podman("images", "--format={{.Repository}}:{{.Tag}}")
    listed = base.podman("ps", "--all", "--format={{.Names}} {{.Labels}}")
    assert not [line for line in listed.splitlines() if "radbench-probe" in line and f"{os.getpid()}." in line]


def test_without_an_engine_the_child_is_left_out() -> None:
    assert {finding.state for finding in doctor.inside(None)} == {"skipped"}
    apptainer = PODMAN.model_copy(update={"name": "apptainer"})
    assert {finding.state for finding in doctor.inside(apptainer)} == {"skipped"}
    broken = doctor.inside(PODMAN.model_copy(update={"executable": "/bin/false"}))
    assert broken[0].state == "failure" and broken[0].fix


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose nvidia-smi lists two GPUs."""
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\necho 'GPU 1: NVIDIA H200 (UUID: GPU-2)'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return script


def test_a_gpu_must_be_seen_inside_the_container(smi: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def answers(lines: list[str], error: str = "") -> None:
        def gpus(runtime: Runtime, image: str) -> list[str]:
            if error:
                raise InfrastructureError("engine_failed", error)
            return lines

        monkeypatch.setattr(probe, "gpus", gpus)

    answers(["GPU 0: NVIDIA H200 (UUID: GPU-1)", "GPU 1: NVIDIA H200 (UUID: GPU-2)"])
    finding = doctor.gpu(PODMAN, "image")
    assert finding.state == "ok" and finding.found == "2 × NVIDIA H200"
    answers(["GPU 0: NVIDIA H200 (UUID: GPU-1)"])
    assert "has 2 GPUs, a container sees 1" in doctor.gpu(PODMAN, "image").found
    answers([], "unresolvable CDI devices nvidia.com/gpu=all")
    finding = doctor.gpu(PODMAN, "image")
    assert finding.state == "failure" and "nvidia-ctk cdi generate" in finding.fix
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert doctor.gpu(PODMAN, "image", tmp_path).state == "skipped"
    (tmp_path / "nvidia0").touch()
    assert "Reinstall the driver" in doctor.gpu(PODMAN, "image", tmp_path).fix


def test_advice_fits_the_engine_s_message() -> None:
    assert "--runtime=docker" in doctor.gpu_fix('could not select device driver "" with capabilities: [[gpu]]')
    assert "CDI" in doctor.gpu_fix("Failed to initialize NVML: Unknown Error")
    assert "/dev/nvidia" in doctor.gpu_fix("open /dev/nvidiactl: permission denied")
    assert doctor.gpu_fix("something else").endswith(".")


def test_architecture() -> None:
    assert machine.architecture("x86_64", "Linux").state == "ok"
    assert machine.architecture("aarch64", "Linux").state == "failure"
    assert machine.architecture("x86_64", "Darwin").state == "failure"


def test_control_groups(tmp_path: Path) -> None:
    second = tmp_path / "2"
    second.mkdir()
    (second / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert machine.control_groups(second, PODMAN).state == "ok"
    (second / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    finding = machine.control_groups(second, PODMAN)
    assert finding.state == "failure" and "without memory" in finding.found
    first = tmp_path / "1"
    for name in ("memory", "pids", "cpu"):
        (first / name).mkdir(parents=True)
    assert machine.control_groups(first, PODMAN).state == "ok"
    assert machine.control_groups(first, PODMAN.model_copy(update={"rootless": True})).state == "failure"


def test_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("user/max_user_namespaces", "kernel/unprivileged_userns_clone"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("1\n")
    monkeypatch.setattr(machine, "subordinate", lambda uid: True)
    assert machine.user_namespaces(tmp_path, PODMAN, 1000).state == "ok"
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    assert machine.user_namespaces(tmp_path, PODMAN, 1000).state == "warning"
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("0\n")
    monkeypatch.setattr(machine, "subordinate", lambda uid: False)
    assert "usermod" in machine.user_namespaces(tmp_path, PODMAN, 1000).fix
    (tmp_path / "kernel/unprivileged_userns_clone").write_text("0\n")
    assert "unprivileged_userns_clone=1" in machine.user_namespaces(tmp_path, PODMAN, 1000).fix
    (tmp_path / "user/max_user_namespaces").write_text("0\n")
    assert machine.user_namespaces(tmp_path, PODMAN, 1000).state == "failure"
    for runtime, uid in ((PODMAN, 0), (PODMAN.model_copy(update={"name": "docker"}), 1000)):
        spare = machine.user_namespaces(tmp_path, runtime, uid)
        assert spare.state == "ok" and spare.found.endswith("not needed, since the engine runs as root")


def test_subordinate_numbers(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("somebody:100000:65536\n0:200000:65536\n")
    assert machine.subordinate(0, tmp_path / "subuid")
    (tmp_path / "subuid").write_text("somebody:100000:65536\n")
    assert not machine.subordinate(0, tmp_path / "subuid")
    assert not machine.subordinate(0, tmp_path / "none")


def test_disk_memory_and_clock(tmp_path: Path) -> None:
    states = [machine.disk(tmp_path / "not/yet", "disk", free=free * 2**30).state for free in (50, 10, 1)]
    assert states == ["ok", "warning", "failure"]
    assert str(tmp_path) in machine.disk(tmp_path / "not/yet", "disk").found
    (tmp_path / "meminfo").write_text("MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    assert machine.memory(tmp_path / "meminfo", Limits(memory_mb=16000)).state == "ok"
    assert machine.memory(tmp_path / "meminfo", Limits(memory_mb=16001)).state == "warning"
    assert machine.memory(tmp_path / "none", Limits()).state == "skipped"
    now = machine.RELEASED + 1e7
    assert [machine.clock(now, known).state for known in (True, False, None)] == ["ok", "warning", "skipped"]
    assert machine.clock(0, True).state == "failure"
    assert machine.synchronised() in (True, False, None)


def test_the_verdict_of_the_examination() -> None:
    fine, poor, bad = (
        Finding(name="a", state=state, found="found", fix="" if state == "ok" else "Mend it.")
        for state in ("ok", "warning", "failure")
    )
    assert not doctor.failed([fine]) and not doctor.failed([fine, poor]) and doctor.failed([bad])
    assert doctor.failed([fine, poor], strict=True)
    assert doctor.lines([fine, poor])[1] == "WARN  a  found. Mend it."
    assert "before running strangers'" in doctor.summary([fine, poor])
    assert "Not fit" in doctor.summary([poor], strict=True)


def radbench(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RADBENCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_command_without_an_engine(tmp_path: Path) -> None:
    result = radbench("doctor", "--json", "--work", tmp_path, PATH=str(tmp_path))
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["findings"][0]["state"] == "failure" and "podman is not installed" in found["findings"][0]["found"]
    assert found["findings"][0]["fix"]
    wrong = radbench("doctor", "--engine", "dokcer", "--work", tmp_path)
    assert wrong.returncode == 2 and "no engine 'dokcer'" in wrong.stderr


def test_the_command_with_an_engine(tmp_path: Path) -> None:
    base.engine()
    result = radbench("doctor", "--engine", "podman", "--work", tmp_path)
    lines = {line[6:].split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert lines["sandbox"].startswith("ok"), result.stdout + result.stderr
    assert lines["shared memory"].startswith("ok") and lines["engine"][:4] in ("ok  ", "WARN")
    assert {"architecture", "control groups", "user namespaces", "GPU in a container", "clock"} <= set(lines)


def test_a_name_that_is_no_engine() -> None:
    with pytest.raises(UsageError):
        doctor.examine(Path("/tmp"), "dokcer")


def test_a_made_up_escape_without_its_branch() -> None:
    """Older than every fixed branch: never fixed; newer than all: never had it."""
    table = [Escape("CVE-2099-1", "x", ("2.3.4", "3.1.0"), "…")]
    states = {v: bool(affecting("x", v, table=table)) for v in ("1.9.9", "2.3.3", "2.3.4", "3.0.9", "3.1.0", "4.0")}
    assert states == {"1.9.9": True, "2.3.3": True, "2.3.4": False, "3.0.9": True, "3.1.0": False, "4.0": False}
