"""Containers that mean harm: a table of small scripts, what each must come to, and what it may not have reached.

A script runs in the one image of `reference()`, as the model of a case. What it must not be able to do raises in it, and then the
container ends with an error; where it gets through it says `GOT THROUGH`. `{port}`, `{abstract}`, `{edition}`, `{secret_file}` and
`{host_pid}` are put in by the test: places on the host that a script is told, as if it had guessed them.
"""

# ruff: noqa: E501  # tables read better with an entry a line
from __future__ import annotations

from dataclasses import dataclass

from tests.container import base

UID = 10777
"""Number of the image's user, which nothing else on the machine has: its processes can be told from all others."""

MAIN = r'''
import array, ctypes, errno, glob, gzip, json, os, shutil, signal, socket, stat, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
CLEAN = "/output/images/clean/"

def through(what=""):
    """The attack worked."""
    print("GOT THROUGH", what, flush=True)

def system(name, *arguments):
    """A call of the C library; raises when the kernel says no."""
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def each(*attacks):
    """Try each attack; every one must raise."""
    for attack in attacks:
        try:
            attack()
        except Exception as error:
            print("held:", type(error).__name__, error, flush=True)
        else:
            through(attack)
    sys.exit(13)

def volume():
    """This case's input, which lies on the right grid."""
    (path,) = glob.glob("/input/images/noisy/*")
    return open(path, "rb").read()

def valid(name="x.mha"):
    """A prediction that can be scored."""
    os.makedirs(CLEAN, exist_ok=True)
    with open(CLEAN + name, "wb") as file:
        file.write(volume())

def act():
    exec(compile(open("/input/script.py").read(), "script", "exec"), globals())
'''

EXEC = MAIN + "\nact()\n"

INVOKE = (
    MAIN
    + r"""
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def answer(self, status, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_GET(self):
        self.answer(200)
    def do_POST(self):
        globals()["handler"] = self
        act()
        if not self.wfile.closed and not getattr(self, "answered", False):
            self.answer(201)
    def log_message(self, *words):
        pass
HTTPServer(("0.0.0.0", 4743), Handler).serve_forever()
"""
)

USER = f"RUN useradd --create-home --uid {UID} hostile\n"
ROOTED = "RUN cp /usr/bin/python3.11 /opt/rooted && chown root:root /opt/rooted && chmod 6755 /opt/rooted\n"
"""A copy of Python that would run as root, whoever starts it."""


def reference(*, invoke: bool = False, lines: str = "USER hostile\n") -> str:
    """The image of all scripts, in exec or invoke mode; `lines` of a Containerfile come last but the entry point."""
    label = 'LABEL org.grand-challenge.api-method="invoke"\n' if invoke else ""
    text = f'{USER}{ROOTED}COPY main.py /opt/main.py\n{label}{lines}ENTRYPOINT ["python3", "-u", "/opt/main.py"]\n'
    return base.build("hostile", text, {"main.py": INVOKE if invoke else EXEC})


@dataclass(frozen=True)
class Hostile:
    """One container that means harm."""

    script: str
    code: str
    """What the case comes to; empty where its prediction is valid in spite of the attack, which came to nothing."""
    reason: str = ""
    """Words of the sentence that the participant is given."""
    log: str = ""
    """Words that the container must have printed: the attack was really tried, and refused for the right reason."""
    hasty: bool = False
    """Whether it never ends by itself, and so gets the short time limit."""


def _held(script: str, log: str) -> Hostile:
    """A list of attacks that are all refused."""
    return Hostile(script, "crashed", "exit code 13", log)


def _raises(script: str, log: str) -> Hostile:
    """An attack that is refused, which ends the model."""
    return Hostile(f"{script}\nthrough()", "crashed", "exit code 1", log)


NETWORK = {
    "TCP": _raises("socket.create_connection(('1.1.1.1', 80), 2)", "unreachable"),
    "UDP": _raises("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))", "unreachable"),
    "IPv6": _raises("socket.create_connection(('2606:4700:4700::1111', 80), 2)", "OSError"),
    "DNS": _raises("socket.getaddrinfo('example.org', 80)", "gaierror"),
    "raw socket": _held(
        """each(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))""",
        "held: PermissionError",
    ),
    "services of the host": _held(
        """each(
            lambda: socket.create_connection(("127.0.0.1", {port}), 2),
            lambda: socket.socket(socket.AF_UNIX).connect("\\0{abstract}"),
            lambda: socket.socket(socket.AF_UNIX).connect("/run/podman/podman.sock"),
            lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"))""",
        "held: ConnectionRefusedError",
    ),
}

FILES = {
    "write to root": _held(
        """each(*[lambda p=p: open(p, "w") for p in ("/x", "/etc/passwd", "/opt/main.py", "/var/tmp/x", "/run/x", "/dev/x")])""",
        "Read-only file system",
    ),
    "write to the input": _held(
        """each(lambda: open("/input/x", "w"), lambda: open(glob.glob("/input/images/noisy/*")[0], "r+b"),
                lambda: os.unlink("/input/script.py"), lambda: os.chmod("/input", 0o777))""",
        "Read-only file system",
    ),
    "references, by their likely paths": _held(
        """
places = ["{edition}", "/references", "/reference", "/ground-truth", "/opt/ml/input/data/ground_truth", "/data", "/input/references",
          "/input/../references", "/output/../references", "/opt/ml/model"]
each(*[lambda p=p: os.listdir(p) for p in places], *[lambda p=p: open(p + "/x", "w") for p in places])""",
        "held: FileNotFoundError",
    ),
    "search for references and other cases": Hostile(
        """
def own(path):
    return path.startswith(("/proc/", "/sys/", "/usr/", "/etc/", "/var/", "/dev/"))
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if not own(os.path.join(folder, f) + "/")]
    for name in folders + files:
        if "truth" in name or "mask" in name or name.startswith("references") or name.endswith((".mha", ".nii.gz")):
            print("seen", os.path.join(folder, name))
            if not folder.startswith("/input/images/noisy"):
                through(os.path.join(folder, name))
print("inputs:", sorted(os.listdir("/input")), sorted(os.listdir("/input/images")))
""",
        "missing",
        "images/clean",
        "inputs: ['images', 'inputs.json', 'script.py'] ['noisy']",
    ),
    "a file of the host, copied": _held(
        """each(lambda: shutil.copy("{secret_file}", "/output/"), lambda: shutil.copy("/proc/1/root{secret_file}", "/output/"),
                lambda: shutil.copy("/proc/1/cwd/../..{secret_file}", "/output/"), lambda: open("/proc/1/mem", "rb").read(1),
                lambda: open("/proc/kcore", "rb").read(1) or 1 / 0, lambda: open("/dev/mem", "rb"), lambda: open("/dev/sda", "rb"),
                lambda: open("/etc/shadow").read())""",
        "held: FileNotFoundError",
    ),
    "a prediction that is a copy of a system file": Hostile(
        """os.makedirs(CLEAN); shutil.copy("/etc/passwd", CLEAN + "x.mha")""", "unreadable", "x.mha"
    ),
    "what the host is": Hostile(
        """
for path in [*glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline"), "/proc/self/mountinfo", "/etc/hostname"]:
    try:
        print(path, open(path, "rb").read())
    except OSError as error:
        print("held:", path, error)
print("processes:", len(glob.glob("/proc/[0-9]*")) < 5, "host name:", socket.gethostname())
""",
        "missing",
        "images/clean",
        "processes: True host name: radbench",
    ),
    "settings of the kernel": _held(
        """
def into(path, text):
    with open(path, "w") as file:
        file.write(text)
each(lambda: into("/proc/sys/kernel/core_pattern", "|/output/x"), lambda: into("/proc/sysrq-trigger", "h"),
     lambda: into("/proc/sys/vm/drop_caches", "1"), lambda: into("/sys/kernel/uevent_helper", "/output/x"),
     lambda: into("/proc/1/oom_score_adj", "-1000"),
     lambda: [into(p, "9999999999") for p in glob.glob("/sys/fs/cgroup/**/memory*limit_in_bytes", recursive=True)
              + ["/sys/fs/cgroup/memory.max"]],
     lambda: into("/sys/fs/cgroup/memory/release_agent", "/output/x"), lambda: os.mkdir("/sys/fs/cgroup/memory/x"))""",
        "Read-only file system",
    ),
}

PRIVILEGES = {
    "ptrace": _held(
        """each(lambda: system("ptrace", 16, {host_pid}, 0, 0), lambda: os.kill({host_pid}, 9), lambda: os.kill({host_pid}, 0))""",
        "No such process",
    ),
    "mount": _held(
        """each(lambda: system("mount", b"x", b"/tmp", b"tmpfs", 0, b""), lambda: system("mount", b"none", b"/", b"none", 4128, b""),
                lambda: system("umount2", b"/input", 2), lambda: system("mount", b"proc", b"/tmp", b"proc", 0, b""),
                lambda: system("pivot_root", b"/tmp", b"/tmp") if hasattr(libc, "pivot_root") else system("syscall", 155, b"/tmp", b"/tmp"),
                lambda: os.chroot("/tmp"))""",
        "held: PermissionError",
    ),
    "mknod": _held(
        """each(*[lambda p=p, d=d: os.mknod(p + "/n", 0o600 | stat.S_IFBLK, os.makedev(*d))
                 for p in ("/tmp", "/output", "/dev/shm") for d in ((8, 0), (254, 0), (7, 0))])""",
        "held: PermissionError",
    ),
    "namespaces of its own": _held(
        """
class Clone3(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 3), ("signal", ctypes.c_uint64), ("more", ctypes.c_uint64 * 6)]
def forked(made):
    # Were it made, there would be two of us now: the child ends, the parent says so.
    if made == 0: os._exit(0)
    return made
def cloned(flag): return forked(libc.syscall(56, flag | signal.SIGCHLD, None, None, None, None)) >= 0 or 1 / 0
each(*[lambda f=f: system("unshare", f) for f in (0x10000000, 0x10020000, 0x20000, 0x40000000, 0x08000000, 0x02000000, 0x80)],
     *[lambda f=f: cloned(f) for f in (0x10000000, 0x30000000, 0x20000, 0x40000000)],
     lambda: forked(libc.syscall(435, ctypes.byref(Clone3(flags=0x10000000, signal=17)), 88)) >= 0 or 1 / 0,
     *[lambda n=n: system("setns", os.open("/proc/self/ns/" + n, os.O_RDONLY), 0) for n in ("user", "mnt", "net", "pid")],
     lambda: system("mount", b"none", b"/", b"none", 4128, b""), lambda: system("mount", b"none", b"/input", b"none", 4128, b""),
     lambda: system("umount2", b"/input", 2), lambda: system("umount2", b"/tmp", 2), lambda: open("/input/x", "w"), lambda: open("/x", "w"),
     lambda: os.mknod("/tmp/n", 0o600 | stat.S_IFBLK, os.makedev(8, 0)), lambda: os.setuid(0), lambda: open("/dev/mem", "rb"),
     lambda: socket.create_connection(("1.1.1.1", 80), 2), lambda: socket.create_connection(("127.0.0.1", {port}), 2),
     lambda: system("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0), lambda: open("/proc/sys/kernel/hostname", "w").write("x"))""",
        "held: PermissionError",
    ),
    "sockets that no namespace holds": _held(
        """
def made(kind):
    try: return not socket.socket(kind, socket.SOCK_DGRAM).close()
    except OSError: return False
print("kinds:", [kind for kind in range(64) if made(kind)])
each(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1024)), lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_DGRAM),
     lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET), lambda: socket.socket(31, socket.SOCK_RAW),
     lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12), lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9),
     lambda: system("syscall", 41, ctypes.c_uint64(2**32 + 40), 1, 0), lambda: system("syscall", 41, ctypes.c_int64(40 - 2**32), 1, 0))""",
        "kinds: [1, 2, 10, 16]",
    ),
    "key rings": _held(
        """each(lambda: system("syscall", 248, b"user", b"note", b"secret", 6, -4), lambda: system("syscall", 249, b"user", b"note", None, -4),
                lambda: system("syscall", 250, 0, -3, 1), lambda: system("syscall", 250, 1, None))""",
        "held: PermissionError",
    ),
    "second ways into the kernel": _held(
        """each(lambda: system("syscall", 425, 8, ctypes.create_string_buffer(120)), lambda: system("syscall", 426, 0, 0, 0, 0, None, 0),
                lambda: system("syscall", 427, 0, 0, None, 0), lambda: system("syscall", 447, 0))
""",
        "Function not implemented",
    ),
    "helps for exploits": _held(
        """each(lambda: system("syscall", 323, 0), lambda: system("syscall", 321, 0, ctypes.create_string_buffer(120), 120), lambda: system("ptrace", 0, 0, 0, 0),
                lambda: system("syscall", 298, ctypes.create_string_buffer(128), 0, -1, -1, 0), lambda: system("syscall", 310, os.getpid(), None, 0, None, 0, 0),
                lambda: system("syscall", 311, os.getpid(), None, 0, None, 0, 0), lambda: system("syscall", 438, os.pidfd_open(os.getpid()), 0, 0),
                lambda: system("syscall", 303, -100, b"/output", ctypes.create_string_buffer(200), ctypes.create_string_buffer(8), 0),
                lambda: system("syscall", 312, os.getpid(), os.getpid(), 0, 0, 0), lambda: system("syscall", 154, 0, ctypes.create_string_buffer(8), 8),
                lambda: system("syscall", 278, 1, None, 0, 0), lambda: system("personality", 0x0400000) + 0)
""",
        "held: PermissionError",
    ),
    "calls of another processor": Hostile(
        """
# int 0x80: getpid by the old 32-bit way in, which has its own numbers and would pass a filter of the others.
import mmap
code = b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3"
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); page.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("calling", flush=True)
if call() == os.getpid(): through()
""",
        "crashed",
        "exit code",
        "calling",
    ),
    "calls that only root has": _held(
        """each(lambda: system("syscall", 175, b"", 0, b""), lambda: system("syscall", 246, 0, 0, 0, 0), lambda: system("syscall", 321, 0, 0, 0),
                lambda: system("syscall", 304, -100, 0, 0), lambda: system("reboot", 0x89abcdef), lambda: system("sethostname", b"x", 1),
                lambda: time.clock_settime(time.CLOCK_REALTIME, 0), lambda: system("swapon", b"/output/x", 0), lambda: system("acct", b"/output/x"),
                lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.nice(-5), lambda: os.chown("/output", 0, 0))""",
        "held: PermissionError",
    ),
    "set-user-id": Hostile(
        """
print(subprocess.check_output(["/opt/rooted", "-c", "import os; print('users', os.getuid(), os.geteuid(), os.getegid())"]).decode())
shutil.copy("/usr/bin/python3.11", "/tmp/rooted"); os.chmod("/tmp/rooted", 0o6755)
print(subprocess.check_output(["/tmp/rooted", "-c", "import os; print('mine', os.geteuid())"]).decode())
valid(); shutil.copy("/bin/true", "/output/rooted"); os.chmod("/output/rooted", 0o6755)
subprocess.check_output(["/output/rooted"])
""",
        "crashed",
        "exit code 1",
        f"users {UID} {UID} {UID}",
    ),
    "library put before others": Hostile(
        """os.environ["LD_PRELOAD"] = "/output/evil.so"; subprocess.run(["/opt/rooted", "-c", "import os; print('as', os.geteuid())"])""",
        "missing",
        "images/clean",
        f"as {UID}",
    ),
}

HOGS = {
    "fork bomb": Hostile(
        """
while True:
    try:
        os.fork()
    except OSError as error:
        print("held:", error, flush=True)
        time.sleep(0.2)
""",
        "timeout",
        "4 s",
        "held: [Errno 11]",
        hasty=True,
    ),
    "threads": _raises(
        "while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "can't start new thread"
    ),
    "memory": Hostile("hog = []\nwhile True: hog.append(bytes(b'x') * 2**22)", "out_of_memory", "128 MiB"),
    "files in memory": Hostile(
        "with open('/tmp/hog', 'wb') as f:\n    while True: f.write(b'x' * 2**20)",
        "out_of_memory",
        "/tmp and /dev/shm included",
    ),
    "shared memory": _raises(
        "with open('/dev/shm/hog', 'wb') as f:\n    while True: f.write(b'x' * 2**20)", "No space left on device"
    ),
    "memory without a name": Hostile(
        "fd = os.memfd_create('hog')\nwhile True: os.write(fd, b'x' * 2**20)", "out_of_memory", "128 MiB"
    ),
    "open files": _raises("hog = []\nwhile True: hog.append(open('/dev/null'))", "Too many open files"),
    "disk": Hostile(
        """
valid()
try:
    for n in range(100):
        with open(f"/output/{n}", "wb") as f:
            for _ in range(20): f.write(b"x" * 2**20)
    through()
except OSError as error:
    print("held:", error)
""",
        "output_too_large",
        "at most 4 MiB",
        "held: [Errno 28]",
    ),
    "inodes": Hostile(
        """
valid()
try:
    for n in range(200000): os.mkdir(f"/output/{n}")
    through()
except OSError as error:
    print("held:", error)
""",
        "output_too_large",
        "1000 files",
        "held: [Errno 28]",
    ),
    "flood of the log": Hostile(
        "text = 'flood' * 10000\nwhile True: print(text)", "timeout", "4 s", "bytes left out", hasty=True
    ),
    "sleep": Hostile("print('good night', flush=True); time.sleep(10**6)", "timeout", "4 s", "good night", hasty=True),
    "deaf": Hostile(
        """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
print("deaf", flush=True)
while True: time.sleep(1)
""",
        "timeout",
        "4 s",
        "deaf",
        hasty=True,
    ),
    "a child that outlives it": Hostile(
        """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while True:
            try: open("/output/late", "a").write("x")
            except OSError: pass
            time.sleep(0.05)
    os._exit(0)
os.wait()
valid(); print("left", flush=True)
""",
        "",
        log="left",
    ),
    "death of everything": Hostile(
        """
print("last words", flush=True)
subprocess.Popen(["sleep", "60"])
for pid in (1, -1, os.getpid()):
    try: os.kill(pid, 9)
    except OSError: pass
time.sleep(60)
""",
        "crashed",
        "memory limit was not hit",
        "last words",
    ),
    "exit code of the engine": Hostile("os._exit(125)", "crashed", "exit code 125"),
}

_NIFTI = r"""
def nifti(x, y, z, kind=2, bits=8):
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, x, y, z, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352)
    struct.pack_into("<2h", head, 252, 0, 1)
    struct.pack_into("<12f", head, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)
os.makedirs(CLEAN)
"""

OUTPUTS = {
    "symbolic link": Hostile(
        "os.makedirs(CLEAN); os.symlink('{secret_file}', CLEAN + 'x.mha')", "unreadable", "is a link"
    ),
    "linked folder": Hostile(
        "os.makedirs('/output/images'); os.symlink('{edition}', '/output/images/clean')", "unreadable", "is a link"
    ),
    "link to memory of the reader": Hostile(
        "os.makedirs(CLEAN); os.symlink('/proc/self/mem', CLEAN + 'x.mha')", "unreadable", "is a link"
    ),
    "hard link to a file that is not its own": _held(
        "each(lambda: os.link('/etc/passwd', '/output/x'), lambda: os.link('/input/script.py', '/output/x'), lambda: os.link('/proc/1/root/etc/passwd', '/output/y'))",
        "held: OSError",
    ),
    "two names of one file": Hostile(
        "valid(); os.link(CLEAN + 'x.mha', CLEAN + 'y.mha')", "extra_output", "2 entries (x.mha, y.mha)"
    ),
    "pipe": Hostile("os.makedirs(CLEAN); os.mkfifo(CLEAN + 'x.mha')", "unreadable", "pipe"),
    "socket": Hostile("valid(); socket.socket(socket.AF_UNIX).bind('/output/s')", "unreadable", "socket"),
    "device": _raises(
        "os.makedirs(CLEAN); os.mknod(CLEAN + 'x.mha', 0o600 | stat.S_IFCHR, os.makedev(1, 5))",
        "Operation not permitted",
    ),
    "folder in the place of a file": Hostile("os.makedirs(CLEAN + 'x.mha')", "unreadable", "is a folder"),
    "sparse": Hostile(
        "os.makedirs(CLEAN)\nwith open(CLEAN + 'x.mha', 'wb') as f: f.truncate(100 * 2**20)",
        "output_too_large",
        "100 MiB",
    ),
    "sparse terabyte": _raises("os.makedirs(CLEAN); open(CLEAN + 'x.mha', 'wb').truncate(2**40)", "File too large"),
    "a thousand files and more": Hostile(
        "valid()\nfor n in range(1500): open(f'/output/{n}', 'w')", "output_too_large", "1000 files"
    ),
    "folders without end": Hostile("valid(); os.makedirs('/output/' + 'd/' * 200)", "output_too_large", "8 levels"),
    "names that move the cursor": Hostile(
        "valid(); open('/output/\\x1b[2J\\n::error', 'w')", "unreadable", "not printable"
    ),
    "closed folders": Hostile(
        "valid(); os.chmod(CLEAN + 'x.mha', 0); os.chmod(CLEAN, 0); os.chmod('/output/images', 0)", ""
    ),
    "gzip bomb": Hostile(
        _NIFTI
        + """
member = gzip.compress(bytes(2**24), 9)
with open(CLEAN + "x.nii.gz", "wb") as f:
    f.write(gzip.compress(nifti(1024, 1024, 1024)))
    for _ in range(64): f.write(member)
print(os.path.getsize(CLEAN + "x.nii.gz") // 1024, "KiB")
""",
        "unreadable",
        "more than the",
        "KiB",
    ),
    "header that lies": Hostile(
        """
os.makedirs(CLEAN)
with open(CLEAN + "x.mha", "wb") as f: f.write(volume().replace(b"DimSize = 10 8 6", b"DimSize = 99999 99999 99999"))
""",
        "unreadable",
        "promises",
    ),
    "voxels in another file": Hostile(
        """
os.makedirs(CLEAN)
with open(CLEAN + "x.mha", "wb") as f: f.write(volume().replace(b"ElementDataFile = LOCAL", b"ElementDataFile = {secret_file}"))
""",
        "unreadable",
        "beside the header",
    ),
    "a program that is read as an object": Hostile(
        "import pickle\nos.makedirs(CLEAN)\nclass Evil:\n    def __reduce__(self): return os.system, ('touch {secret_file}.touched',)\n"
        "pickle.dump(Evil(), open(CLEAN + 'x.mha', 'wb'))",
        "unreadable",
        "x.mha",
    ),
}

CASES: dict[str, Hostile] = {**NETWORK, **FILES, **PRIVILEGES, **HOGS, **OUTPUTS}
