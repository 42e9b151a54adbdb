"""What Docker's own client makes of our command lines: the request that it would send to a daemon, caught by a small server.

No daemon is needed, so this is checked wherever the client is installed.
"""

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmark.container import commands, seccomp
from benchmark.container.records import Runtime
from tests.container.test_commands import invocation

DOCKER = shutil.which("docker")


class Daemon(threading.Thread):
    """Answers a ping, keeps the body of `POST /containers/create`."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.server.settimeout(20)
        self.body: dict[str, Any] = {}

    def run(self) -> None:
        while not self.body:
            connection, _ = self.server.accept()
            with connection, connection.makefile("rwb") as stream:
                while line := stream.readline():
                    length, chunked = 0, False
                    while (header := stream.readline().strip().lower()) and header:
                        if header.startswith(b"content-length:"):
                            length = int(header.split(b":")[1])
                        chunked = chunked or header == b"transfer-encoding: chunked"
                    data = stream.read(length)
                    while chunked and (size := int(stream.readline(), 16)):
                        data += stream.read(size)
                        stream.readline()
                    if b"/containers/create" in line:
                        self.body = json.loads(data)
                        answer = b'{"Id": "abc", "Warnings": []}'
                        status = b"201 Created"
                    else:
                        answer, status = b"OK", b"200 OK"
                    stream.write(
                        b"HTTP/1.1 " + status + b"\r\nApi-Version: 1.44\r\nOstype: linux\r\nContent-Type: application/json\r\n"
                        b"Content-Length: " + str(len(answer)).encode() + b"\r\n\r\n" + (b"" if line.startswith(b"HEAD") else answer)
                    )  # fmt: skip
                    stream.flush()


def request(tmp_path: Path, gpu: str) -> dict[str, Any]:
    assert DOCKER is not None
    daemon = Daemon(tmp_path / "s")
    daemon.start()
    line = commands.create(Runtime(name="docker", executable=DOCKER), invocation("invoke", gpu))
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/s", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == 0, done.stderr
    return daemon.body


@pytest.mark.skipif(DOCKER is None, reason="Docker's client is not installed")
def test_the_daemon_is_asked_for_the_whole_sandbox(tmp_path: Path) -> None:
    body = request(tmp_path, "")
    host = body["HostConfig"]
    host["Binds"].sort(key=lambda bind: bind.split(":")[1])  # the client gives them in any order; none lies in another
    mib = 2**20
    assert {name: host[name] for name in (
        "NetworkMode", "ReadonlyRootfs", "CapDrop", "CapAdd", "Memory", "MemorySwap", "NanoCpus", "PidsLimit",
        "ShmSize", "Tmpfs", "Init", "Privileged", "Binds", "IpcMode", "PidMode", "Devices",
    )} == {
        "NetworkMode": "none", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "CapAdd": None,
        "Memory": 8192 * mib, "MemorySwap": 8192 * mib, "NanoCpus": 1_500_000_000,
        "PidsLimit": 1024, "ShmSize": 2048 * mib, "Init": True, "Privileged": False, "IpcMode": "private", "PidMode": "",
        "Tmpfs": {
            "/tmp": "rw,exec,nosuid,nodev,mode=1777,size=8192m", "/data": "rw,nosuid,nodev,size=8192m",
        },
        "Binds": ["/tmp/s/input:/input:ro,Z", "/srv/weights:/opt/ml/model:ro,z", "/tmp/s/output:/output:rw,Z"],
        "Devices": [],
    }  # fmt: skip
    # The client reads the profile and sends it whole.
    privileges, profile = sorted(host["SecurityOpt"])
    assert privileges == "no-new-privileges" and json.loads(profile.removeprefix("seccomp=")) == seccomp.profile()
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]}
    assert limits["nofile"] == (16384, 16384) and limits["core"] == (0, 0) and limits["fsize"] == (8192 * mib,) * 2
    assert host["LogConfig"]["Type"] == "none" and not host["DeviceRequests"]
    assert body["User"] == "10001:10002" and body["Image"] == "sha256:" + "a" * 64
    assert body["Healthcheck"]["Test"] == ["NONE"] and body["StopSignal"] == "SIGTERM" and body["StopTimeout"] == 5
    assert {"HOME=/tmp", "HTTP_PROXY=", "NVIDIA_VISIBLE_DEVICES=void"} <= set(body["Env"])


@pytest.mark.skipif(DOCKER is None, reason="Docker's client is not installed")
@pytest.mark.parametrize(("gpu", "count", "ids"), [("all", -1, None), ("GPU-7", 0, ["GPU-7"]), ("0", 0, ["0"])])
def test_the_daemon_is_asked_for_the_gpu(tmp_path: Path, gpu: str, count: int, ids: list[str] | None) -> None:
    (asked,) = request(tmp_path, gpu)["HostConfig"]["DeviceRequests"]
    assert (asked["Count"], asked["DeviceIDs"], asked["Capabilities"]) == (count, ids, [["gpu"]])
