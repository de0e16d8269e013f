"""Locks a worker process in before it reads hostile bytes.

On Linux a worker loses, for good and in this order: the right to gain privileges (`PR_SET_NO_NEW_PRIVS`), all writing
to the file system and all reading of it but Python's own files (Landlock, kernel 5.13; network and signal rules as far
as the kernel has them), and every system call that an examination does not need (seccomp, an allowlist: no sockets,
no processes, no terminal control). Resource limits hold on every POSIX system. What could not be had is returned, so
that the caller can say so.

Sources: the kernel's `Documentation/userspace-api/landlock.rst` and `seccomp_filter.rst`.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9

_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
# Rights over the file system by the first Landlock ABI that knows them: 13, then refer, truncate, ioctl on devices.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_RIGHTS = 0b11  # bind and connect over TCP, ABI 4
_SCOPES = 0b11  # abstract Unix sockets and signals, ABI 6

_BPF_LOAD = 0x20
_BPF_AND = 0x54
_BPF_JUMP_EQUAL = 0x15
_BPF_RETURN = 0x06
_SECCOMP_ALLOW = 0x7FFF0000
_SECCOMP_REFUSE = 0x00050001  # fail with EPERM
_SECCOMP_KILL = 0x80000000


def lock(memory: int) -> list[str]:
    """Lock this process in and return what the system could not give, in words.

    `memory` bounds how far the address space may still grow, in bytes. Descriptors that are already open stay usable.
    """
    missing = _limit_resources(memory)
    if not sys.platform.startswith("linux"):
        return [*missing, "no jail on this system, only resource limits"]
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not _restrict_files(library, _python_files()):
        missing.append("no Landlock in this kernel: files stay readable to the workers")
    if not _restrict_system_calls(library):
        missing.append("no seccomp filter for this machine: system calls stay open to the workers")
    return missing


def _limit_resources(memory: int) -> list[str]:
    import resource

    missing = []
    for what, value in (
        (resource.RLIMIT_AS, _mapped() + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            hard = resource.getrlimit(what)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (value, value))
        except (ValueError, OSError) as error:
            missing.append(f"resource limit not set: {error}")
    return missing


def _mapped() -> int:
    """Bytes of address space in use: in a fork of a process with large libraries more than any one file may cost."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _python_files() -> Iterable[str]:
    """What Python itself needs to import a module that is not loaded yet."""
    found = {os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(__file__)), *map(os.path.abspath, sys.path)}
    found |= {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"}
    found.discard(os.getcwd())
    return (path for path in found if os.path.exists(path))


def _restrict_files(library: ctypes.CDLL, readable: Iterable[str]) -> bool:
    version = library.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return False
    rights = max(mask for since, mask in _FILE_RIGHTS.items() if since <= version)
    network = _NETWORK_RIGHTS if version >= 4 else 0
    scopes = _SCOPES if version >= 6 else 0
    fields = struct.pack("=QQQ", rights, network, scopes)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = library.syscall(_LANDLOCK_CREATE_RULESET, ctypes.c_char_p(fields), size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            allowed = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", allowed, descriptor)
            library.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, ctypes.c_char_p(rule), 0)
            os.close(descriptor)
        return bool(library.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _restrict_system_calls(library: ctypes.CDLL) -> bool:
    import msgspec

    with open(os.path.join(os.path.dirname(__file__), "jail_system_calls.json"), "rb") as file:
        tables = msgspec.json.decode(file.read())
    table = tables.get(os.uname().machine)
    if table is None or sys.maxsize < 1 << 32:
        return False
    calls = dict(table["allowed"])
    program = _filter(table["audit"], calls.pop("openat"), sorted(calls.values()))
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(library.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(head), 0, 0) == 0)


def _filter(audit_architecture: int, openat: int, allowed: list[int]) -> bytes:
    """The classic BPF program over `struct seccomp_data`.

    A call of another architecture kills; `openat` passes only for reading; an allowed call passes; any other call
    fails with EPERM.
    """

    def statement(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    count = len(allowed)
    lines = [
        statement(_BPF_LOAD, 4),
        statement(_BPF_JUMP_EQUAL, audit_architecture, 1, 0),
        statement(_BPF_RETURN, _SECCOMP_KILL),
        statement(_BPF_LOAD, 0),
        statement(_BPF_JUMP_EQUAL, openat, 0, 3),
        statement(_BPF_LOAD, 16 + 2 * 8),  # its flags
        statement(_BPF_AND, os.O_ACCMODE | os.O_CREAT | os.O_TRUNC),
        statement(_BPF_JUMP_EQUAL, 0, count + 1, count),
    ]
    lines += [statement(_BPF_JUMP_EQUAL, number, count - index, 0) for index, number in enumerate(allowed)]
    lines += [statement(_BPF_RETURN, _SECCOMP_REFUSE), statement(_BPF_RETURN, _SECCOMP_ALLOW)]
    return b"".join(lines)
