"""Rootless Podman, as an ordinary user: runs where RADBENCH_ROOTLESS_USER names one who has subordinate ids (/etc/subuid)."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

from tests.container import base

USER = os.environ.get("RADBENCH_ROOTLESS_USER", "")
PYTHON = "/usr/bin/python3.11"
"""The system's: an ordinary user cannot always reach the one that runs the tests."""
ROOT = Path(__file__).parents[2]

WHO = "[os.getuid(), json.load(open('/input/value.json')), open('/proc/self/uid_map').read().split()[:3]]"
EXEC = f"import json, os\njson.dump({WHO}, open('/output/n.json', 'w'))\n"
INVOKE = base.SERVER + f"\nimport json, os\ndef invoke():\n    json.dump({WHO}, open('/output/n.json', 'w'))\nserve()\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not USER or os.geteuid() != 0,
        reason="ROOTLESS PODMAN NOT TESTED: as root, set RADBENCH_ROOTLESS_USER to an ordinary user with entries in /etc/subuid",
    ),
]


def test_an_ordinary_user_runs_both_modes() -> None:
    """Files in /output belong to the user who runs the harness; nothing is left; without control groups discovery says no."""
    base.base_image()
    person = pwd.getpwnam(USER)
    with tempfile.TemporaryDirectory(prefix="radbench-rootless-") as name:
        folder = Path(name)
        shutil.copy(next(base.CACHE.glob("rootfs-*.tar")), folder / "base.tar")
        lines = [
            "[engine]",
            'runtime = "runc"',
            'cgroup_manager = "cgroupfs"',
            'events_logger = "file"',
            "[containers]",
        ]
        lines.append('default_ulimits = ["nofile=1024:1024", "nproc=512:512"]')
        (folder / "containers.conf").write_text("\n".join([*lines, ""]))
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )
        for path in (folder, *folder.rglob("*")):
            os.chown(path, person.pw_uid, person.pw_gid)
        environment = {
            "HOME": name, "USER": USER, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "XDG_RUNTIME_DIR": name, "TMPDIR": name,
            "CONTAINERS_CONF": f"{name}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{name}/storage.conf",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
        }  # fmt: skip

        def as_user(*command: str) -> str:
            done = subprocess.run(
                ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--init-groups", *command],
                env=environment, cwd=name, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout

        try:
            as_user("podman", "import", "--quiet", f"{name}/base.tar", "localhost/base")
            for mode, source in (("exec", EXEC), ("invoke", INVOKE)):
                (folder / "main.py").write_text(source)
                label = 'LABEL org.grand-challenge.api-method="invoke"\n' if mode == "invoke" else ""
                (folder / "Containerfile").write_text(
                    f'FROM localhost/base\nCOPY main.py /opt/main.py\n{label}{base.USER}ENTRYPOINT ["python3", "-u", "/opt/main.py"]\n'
                )
                as_user(
                    "podman", "build", "--quiet", "--network=none", "--layers=false", f"--tag=localhost/{mode}", "."
                )
            program = str(Path(__file__).with_name("rootless.py"))
            found = json.loads(as_user(PYTHON, program, "localhost/exec", "localhost/invoke").splitlines()[-1])
        finally:
            as_user("podman", "unshare", "rm", "-rf", f"{name}/images", f"{name}/run")
    for mode in ("exec", "invoke"):
        for number, (code, reason, owner, text) in enumerate(found[mode]):
            assert (code, owner) == ("", person.pw_uid), reason
            uid, value, mapped = json.loads(text)
            assert uid == 10001 and value == number and mapped != ["0", "0", "4294967295"]
    assert found["left"] == ""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        assert found["engine"]["code"] == "engine_unfit" and "memory" in found["engine"]["found"]
