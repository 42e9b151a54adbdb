"""The profile of system calls: what is declared is what is shipped, never wider than the engine's own, and enough for models."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmark.container import ContainerEngine, Runtime, seccomp
from benchmark.contract import Limits
from tests.container import base

ENGINES_OWN = Path("/usr/share/containers/seccomp.json")
GROUPS = {"allowed": seccomp.ALLOWED, "refused": seccomp.REFUSED, "absent": seccomp.ABSENT}


def names(*kinds: str) -> list[str]:
    return [name for kind in kinds for group in GROUPS[kind] for name in group.names.split()]


def test_the_file_is_what_is_declared() -> None:
    """`python -m benchmark.container.seccomp` writes it."""
    assert seccomp.PROFILE.read_text("utf-8") == seccomp.render()
    assert len(seccomp.digest()) == 12


def test_each_call_is_named_once_and_each_group_says_why() -> None:
    conditional = {rule["names"][0] for rule in seccomp.profile()["syscalls"] if rule["args"]}
    found = [*names(*GROUPS), *conditional]
    assert len(found) == len(set(found))
    assert all(group.why.endswith(".") for groups in GROUPS.values() for group in groups)


def test_what_is_not_named_does_not_exist() -> None:
    profile = seccomp.profile()
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert profile["architectures"] == ["SCMP_ARCH_X86_64"]
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW" or (rule["action"] == "SCMP_ACT_ERRNO" and rule["errnoRet"] > 0)
        # Engines take conditions on one argument as alternatives: two of them would mean less than they say.
        indices = [condition["index"] for condition in rule["args"]]
        assert len(set(indices)) == len(indices)


def test_what_must_never_be_allowed() -> None:
    never = (
        "unshare setns mount add_key keyctl request_key bpf perf_event_open userfaultfd ptrace process_vm_readv open_by_handle_at "
        "io_uring_setup clone3 pidfd_getfd kexec_load init_module"
    )
    assert set(never.split()) <= set(names("refused", "absent"))
    assert not set(never.split()) & set(names("allowed"))


def test_it_is_not_wider_than_the_engine_s_own() -> None:
    """Every call that ours allows, Podman's profile allows to a container without capabilities."""
    if not ENGINES_OWN.exists():
        base.lacking("there is no profile of Podman's to compare with")
    own: set[str] = set()
    for rule in json.loads(ENGINES_OWN.read_text("utf-8"))["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        arches = includes.get("arches") or ["amd64"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not includes.get("caps") and "amd64" in arches:
            assert "amd64" not in (excludes.get("arches") or [])
            own.update(rule["names"])
    ours = {
        name for rule in seccomp.profile()["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    }
    assert ours <= own, sorted(ours - own)
    assert len(own - ours) > 50


WORKS = """
import asyncio, concurrent.futures as cf, json, mmap, multiprocessing as mp, os, socket, subprocess, sys, tempfile, threading, time
from multiprocessing import shared_memory
import numpy as np, scipy.ndimage as nd, scipy.linalg as la
import SimpleITK as sitk
def square(x): return x * x
def work():
    done = {}
    done["threads"] = sum(cf.ThreadPoolExecutor(4).map(square, range(10)))
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool:
            done[method] = sum(pool.map(square, range(10)))
    done["shell"] = subprocess.run("echo a | tr a b", shell=True, capture_output=True, text=True).stdout
    async def tick():
        process = await asyncio.create_subprocess_exec("true")
        await asyncio.sleep(0.01)
        return await process.wait()
    done["asyncio"] = asyncio.run(tick())
    one = shared_memory.SharedMemory(create=True, size=1000); one.buf[0] = 7; done["shared"] = one.buf[0]; one.close(); one.unlink()
    server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname()); client.close()
    done["interfaces"] = [name for _, name in socket.if_nameindex()]
    socket.getaddrinfo("localhost", 80)
    done["fft"] = float(abs(np.fft.ifft(np.fft.fft(np.ones(64)))).sum())
    done["matmul"] = float((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0])
    done["svd"] = float(la.svd(np.eye(50))[1].sum())
    done["filter"] = float(nd.gaussian_filter(np.ones((20, 20, 20)), 2).sum())
    volume = sitk.GetImageFromArray(np.ones((20, 20, 20), np.float32))
    done["itk"] = float(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(volume, 2.0)).sum())
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 4096); file.flush(); done["mmap"] = mmap.mmap(file.fileno(), 0)[:1].decode()
        os.posix_fallocate(file.fileno(), 0, 8192); os.sendfile(1, file.fileno(), 0, 0)
    time.sleep(0.01); os.sched_getaffinity(0); os.getrandom(8); os.mkfifo("/tmp/pipe")
    return done
if __name__ == "__main__":
    json.dump(work(), open("/output/done.json", "w"))
"""


@pytest.mark.usefixtures("clean")
def test_what_models_do_works(engine: Runtime, tmp_path: Path) -> None:
    """Threads, processes of all three kinds, shared memory, event loops, FFT and BLAS, SimpleITK: under the profile, to the end."""
    image = base.taken_in(base.python_image("works", WORKS, base=base.science_image()))
    container = ContainerEngine(image, engine)
    assert f"seccomp {seccomp.digest()}" in container.flags
    limits = Limits(seconds=60, memory_mb=1024, output_mb=8, shm_mb=64, cpus=2, pids=200)
    (tmp_path / "case").mkdir()
    with container.session(limits, tmp_path / "log.txt") as session:
        outcome = session.run(tmp_path / "case", tmp_path / "out")
    assert outcome.ok, outcome.reason + outcome.log.decode("utf-8", "replace")
    done: dict[str, Any] = json.loads((tmp_path / "out/done.json").read_text())
    assert done.pop("interfaces") == ["lo"]
    floats = {name: done.pop(name) for name in ("fft", "matmul", "svd", "filter", "itk")}
    assert done == {
        "threads": 285, "fork": 285, "spawn": 285, "forkserver": 285, "shell": "b\n", "asyncio": 0, "shared": 7, "mmap": "x",
    }  # fmt: skip
    wanted = {"fft": 64, "matmul": 300, "svd": 50, "filter": 8000, "itk": 8000}
    assert all(math.isclose(floats[name], value, rel_tol=1e-4) for name, value in wanted.items()), floats


def test_another_profile_is_another_run(tmp_path: Path, engine: Runtime) -> None:
    """The profile is part of what outputs may depend on, and so of the inference key; it is on every command line."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    record = base.taken_in(base.python_image("nothing", "pass"))
    flags = [ContainerEngine(record, r).flags for r in (engine, engine.model_copy(update={"seccomp": str(other)}))]
    assert flags[0] != flags[1]
    apptainer = Runtime(name="apptainer", executable="/usr/bin/apptainer")
    assert not any("seccomp" in flag for flag in ContainerEngine(record, apptainer).flags)
    assert any("filter of system calls" in said for said in ContainerEngine(record, apptainer).remarks)


TORCH = """
import json, torch
from torch.utils.data import DataLoader, TensorDataset
def work():
    torch.manual_seed(0)
    net = torch.nn.Conv3d(1, 4, 3, padding=1)
    data = DataLoader(TensorDataset(torch.ones(8, 1, 16, 16, 16)), batch_size=2, num_workers=2)
    total = sum(net(batch).sum() for (batch,) in data)
    total.backward()
    torch.multiprocessing.spawn(worker, nprocs=2)
    return [torch.get_num_threads(), bool(torch.isfinite(net.weight.grad).all()), torch.fft.fftn(torch.ones(8, 8)).real.sum().item()]
def worker(rank):
    assert torch.ones(100, 100).matmul(torch.ones(100, 100))[rank, 0] == 100
if __name__ == "__main__":
    json.dump(work(), open("/output/done.json", "w"))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
def test_torch_works(engine: Runtime, tmp_path: Path) -> None:
    """Training step, data loaders with workers, which hand tensors through shared memory, and spawned processes."""
    image = base.taken_in(base.python_image("torch", TORCH, base=base.science_image(("torch",))))
    limits = Limits(seconds=120, memory_mb=3000, output_mb=8, shm_mb=256, cpus=2, pids=500)
    (tmp_path / "case").mkdir()
    with ContainerEngine(image, engine).session(limits, tmp_path / "log.txt") as session:
        outcome = session.run(tmp_path / "case", tmp_path / "out")
    assert outcome.ok, outcome.reason + outcome.log.decode("utf-8", "replace")
    assert json.loads((tmp_path / "out/done.json").read_text())[1:] == [True, 64.0]
