"""Which system calls a container may make: a list of what models need; everything else does not exist for them.

The engines' own defaults let a container make user namespaces, in which the kernel's rarely used parts can be reached with rights,
open sockets to the virtual machine's host (AF_VSOCK), which no network namespace holds, and use the kernel's key rings, which are
shared between containers. None of it is of use to a model. The profile is an allow-list of our own, the same for every engine and
machine, so that two organisers run the same thing. It is never wider than the engine's default: a test holds it against that.

`python -m benchmark.container.seccomp` writes `seccomp.json`, which Docker and Podman are given.
"""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("seccomp.json")
"""The profile as the engines read it."""

NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET, the flags of clone(2) that make a namespace."""
KINDS = 0o170000
"""S_IFMT: the bits of a mode that say what kind of file it is."""


@dataclass(frozen=True)
class Group:
    """System calls that are treated alike, and why."""

    why: str
    """One sentence."""
    names: str
    """Their names, separated by blanks."""


ALLOWED = (
    Group(
        "Read, write and close what is open.",
        "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3 fcntl flock "
        "ioctl sendfile splice tee copy_file_range readahead fadvise64 ftruncate truncate fallocate fsync fdatasync sync syncfs "
        "sync_file_range io_setup io_submit io_getevents io_cancel io_destroy",
    ),
    Group(
        "Open, list and change files, where the read-only mounts let it.",
        "open openat openat2 creat access faccessat faccessat2 stat fstat lstat newfstatat statx statfs fstatfs getdents getdents64 "
        "getcwd chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat readlink "
        "readlinkat chmod fchmod fchmodat chown fchown lchown fchownat umask utime utimes utimensat futimesat getxattr lgetxattr "
        "fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr "
        "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
    ),
    Group(
        "Memory, shared memory and protection keys.",
        "brk mmap munmap mremap mprotect madvise mincore msync mlock mlock2 munlock mlockall munlockall memfd_create membarrier "
        "pkey_alloc pkey_free pkey_mprotect shmget shmat shmdt shmctl",
    ),
    Group(
        "Processes and threads, without namespaces: clone has a condition, and clone3, whose flags cannot be looked at, does not exist.",
        "fork vfork execve execveat exit exit_group wait4 waitid set_tid_address set_robust_list get_robust_list rseq futex arch_prctl "
        "set_thread_area get_thread_area prctl getpid getppid gettid getpgid setpgid getpgrp getsid setsid pidfd_open "
        "pidfd_send_signal restart_syscall",
    ),
    Group(
        "Who the process is; without capabilities it can become nobody else.",
        "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid setgroups "
        "setfsuid setfsgid capget capset",
    ),
    Group(
        "Signals.",
        "kill tkill tgkill pause alarm rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo "
        "rt_sigsuspend rt_sigreturn sigaltstack signalfd signalfd4",
    ),
    Group(
        "Clocks and timers, read only where they are the machine's.",
        "time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep times getitimer setitimer timer_create timer_settime "
        "timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime",
    ),
    Group(
        "Waiting for several things, and talk between the container's own processes.",
        "select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2 "
        "semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify "
        "mq_getsetattr",
    ),
    Group(
        "Sockets of the kinds that the condition on `socket` names; there is no network but the container's own loopback.",
        "socketpair bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt shutdown sendto recvfrom sendmsg "
        "recvmsg sendmmsg recvmmsg",
    ),
    Group(
        "Scheduling and limits of its own, downwards.",
        "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_getattr "
        "sched_setattr sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority setpriority ioprio_get "
        "ioprio_set getrlimit setrlimit prlimit64 getrusage getcpu",
    ),
    Group("What the machine is, and random numbers.", "uname sysinfo getrandom"),
    Group(
        "Narrowing its own rights further.", "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    ),
)
"""What a model may call."""

REFUSED = (
    Group("Namespaces of its own, in which it would be root.", "unshare setns"),
    Group(
        "Mounts and roots.",
        "mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr",
    ),
    Group("The kernel's key rings, which are not divided by container.", "add_key request_key keyctl"),
    Group("Programs in the kernel, and counters of the whole machine.", "bpf perf_event_open lookup_dcookie"),
    Group("Holding the kernel still in the middle of a call: a help for exploits.", "userfaultfd"),
    Group(
        "Looking into other processes.",
        "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp process_madvise",
    ),
    Group(
        "Files by handle, which leads out of a mount; watching whole mounts.",
        "open_by_handle_at name_to_handle_at fanotify_init",
    ),
    Group("The machine's clocks.", "settimeofday clock_settime clock_adjtime adjtimex"),
    Group(
        "The machine itself.",
        "reboot kexec_load kexec_file_load init_module finit_module delete_module swapon swapoff acct quotactl syslog sethostname "
        "setdomainname iopl ioperm vhangup",
    ),
    Group(
        "Memory of several processors, which the engines keep to capabilities too.",
        "get_mempolicy set_mempolicy mbind move_pages migrate_pages",
    ),
    Group("Old ways to change a process' segments and to lend pages to a pipe.", "modify_ldt vmsplice"),
)
"""What programs expect to be forbidden: they are told so (EPERM)."""

ABSENT = (
    Group("Its flags lie in memory, where no filter sees them; the C library then takes clone.", "clone3"),
    Group(
        "A second way into the kernel, past filters and with a long list of faults; libraries then do without.",
        "io_uring_setup io_uring_enter io_uring_register",
    ),
    Group("Memory that nobody can look into.", "memfd_secret"),
)
"""What is answered as a kernel does that does not have it (ENOSYS), like everything that is not named here."""


def profile() -> dict[str, Any]:
    """The profile as Docker and Podman read it. Only 64-bit calls of x86-64: the older ways in are ended by the kernel."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            *(_rule(group, "SCMP_ACT_ALLOW") for group in ALLOWED),
            *_conditional(),
            *(_rule(group, "SCMP_ACT_ERRNO", errno.EPERM) for group in REFUSED),
            *(_rule(group, "SCMP_ACT_ERRNO", errno.ENOSYS) for group in ABSENT),
        ],
    }


def _rule(group: Group, action: str, number: int | None = None, *conditions: dict[str, int | str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"comment": group.why, "names": group.names.split(), "action": action}
    if number is not None:
        rule["errnoRet"] = number
    # Conditions on several arguments must all hold; on one and the same, engines take any of them.
    return rule | {"args": list(conditions)}


def _equal(index: int, value: int) -> dict[str, int | str]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _masked(index: int, mask: int, value: int) -> dict[str, int | str]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _conditional() -> list[dict[str, Any]]:
    allow, refuse = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
    return [
        _rule(
            Group("Processes and threads that share all namespaces.", "clone"), allow, None, _masked(0, NAMESPACES, 0)
        ),
        *(
            _rule(Group(f"Sockets of {name}.", "socket"), allow, None, _equal(0, domain))
            for name, domain in (("AF_UNIX", 1), ("AF_INET", 2), ("AF_INET6", 10))
        ),
        _rule(
            Group("AF_NETLINK with NETLINK_ROUTE, by which the C library lists interfaces.", "socket"),
            allow,
            None,
            _equal(0, 16),
            _equal(2, 0),
        ),
        # Any other kind is no kind: AF_VSOCK (40) reaches the host of a virtual machine, AF_ALG (38) the kernel's cryptography.
        *(
            _rule(Group(f"Sockets of {name}.", "socket"), refuse, errno.EAFNOSUPPORT, _equal(0, domain))
            for name, domain in (("AF_PACKET", 17), ("AF_ALG", 38), ("AF_VSOCK", 40), ("AF_XDP", 44))
        ),
        *(
            _rule(Group("The usual personality, and asking for it.", "personality"), allow, None, _equal(0, value))
            for value in (0, 0xFFFFFFFF)
        ),
        *(
            _rule(Group(f"Making {what}.", name), allow, None, _masked(index, KINDS, kind))
            for what, kind in (
                ("plain files", 0o100000),
                ("plain files, as zero says", 0),
                ("pipes with a name", 0o010000),
                ("sockets with a name", 0o140000),
            )
            for name, index in (("mknod", 1), ("mknodat", 2))
        ),
        *(
            _rule(Group(f"Making {what}.", name), refuse, errno.EPERM, _masked(index, KINDS, kind))
            for what, kind in (("devices of blocks", 0o060000), ("devices of characters", 0o020000))
            for name, index in (("mknod", 1), ("mknodat", 2))
        ),
    ]


def render() -> str:
    """The text of `seccomp.json`."""
    return json.dumps(profile(), indent=1) + "\n"


def digest(path: Path = PROFILE) -> str:
    """The first twelve digits of the profile's hash, which is part of what a run depends on."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    PROFILE.write_text(render(), encoding="utf-8")
    print(PROFILE)
