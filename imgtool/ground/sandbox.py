"""What a process that reads strangers' files can do without: Landlock and seccomp of Linux, by their system calls.

A restricted process, and every one that it starts, cannot write to the file system but below named folders, cannot open
a socket, cannot gain privileges by what it executes, cannot signal processes outside, and has no use of system calls
that only serve to look into other processes or to change the machine. It must still have a single thread: the kernel
restricts threads, and those that exist already would stay free.

Numbers are those of Linux's ``landlock.h``, ``seccomp.h``, ``filter.h`` and its tables of system calls.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

WRITABLE_VARIABLE = "IMGTOOL_SANDBOX_WRITABLE"
"""Names more folders that a restricted process may write to, separated as in ``PATH``."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _GET_SECCOMP, _FILTER = 38, 22, 21, 2

# Rights on files, each with the version of Landlock that brought it. Reading and executing stay as they are.
_WRITE_FILE, _TRUNCATE, _IOCTL = 1 << 1, 1 << 14, 1 << 15
_RIGHTS = (
    (1, _WRITE_FILE | 0b1_1111_1111_0000),  # remove and make whatever there is
    (2, 1 << 13),  # link and move between folders
    (3, _TRUNCATE),
    (5, _IOCTL),
)
_OF_FILES = _WRITE_FILE | _TRUNCATE | _IOCTL
_TCP = 0b11
_NO_ABSTRACT_SOCKETS_NO_SIGNALS = 0b11

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/dri", "/dev/kfd")
"""Devices that are no harm; those of NVIDIA have numbers."""

# By row, why each is refused: sockets and looking into other processes; other name spaces and file systems; the kernel
# itself; settings of the machine, and io_uring, whose requests a filter does not see; modes, owners, times and
# attributes of files, which Landlock leaves open.
_REFUSED = {
    "x86_64": (
        *(41, 101, 310, 311, 312, 438, 440, 448),  # socket ptrace process_vm_* kcmp pidfd_getfd process_m*
        *(165, 166, 155, 161, 272, 308, 428, 429, 430, 431, 432, 433, 442, 133, 259),  # mount ... fsopen, mknod*
        *(175, 176, 313, 246, 320, 321, 298, 323, 248, 249, 250, 169, 167, 168, 163, 179, 172, 173),
        *(164, 227, 159, 305, 170, 171, 103, 425, 426, 427, 153, 135, 304, 303),
        *(90, 91, 92, 93, 94, 260, 268, 452, 188, 189, 190, 463, 197, 198, 199, 466, 132, 235, 261, 280),
    ),
    "aarch64": (
        *(198, 117, 270, 271, 272, 438, 440, 448),
        *(40, 39, 41, 51, 97, 268, 428, 429, 430, 431, 432, 433, 442, 33),
        *(105, 106, 273, 104, 294, 280, 241, 282, 217, 218, 219, 142, 224, 225, 89, 60),
        *(170, 112, 171, 266, 161, 162, 116, 425, 426, 427, 58, 92, 265, 264),
        *(52, 53, 54, 55, 452, 5, 6, 7, 463, 14, 15, 16, 466, 88),
    ),
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_NAME_SPACES = 0x7E020000
_OTHER_ABI = 0x40000000
"""System calls of x86-64 from here on are those of 32-bit programs."""

_LOAD, _IS, _FROM, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


class Support(NamedTuple):
    """What the kernel offers. ``landlock`` is the version, 0 for none; ``lacking`` says in words what is missing."""

    landlock: int
    seccomp: bool
    lacking: str

    @property
    def complete(self) -> bool:
        """Whether a process can be restricted in every way."""
        return not self.lacking


class SandboxRefused(OSError):
    """The kernel does not restrict this process."""


def support() -> Support:
    """What this system offers; nothing is changed."""
    if sys.platform != "linux":
        return Support(0, False, "only Linux has what it takes")
    libc = _libc()
    version = max(0, libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION))
    has_filters = os.uname().machine in _REFUSED and libc.prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0
    lacking = []
    if not version:
        lacking.append("this kernel has no Landlock (Linux 5.13 and newer, where it is switched on)")
    if not has_filters:
        lacking.append(f"no seccomp filter for {os.uname().machine}")
    return Support(version, has_filters, "; ".join(lacking))


def restrict(writable: Iterable[str]) -> None:
    """Restrict this process for good; files may only be written below the folders ``writable`` that there are.

    Raises:
        SandboxRefused: the kernel refuses a part of it. What came before that part stays.
    """
    libc = _libc()
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise _refusal("no_new_privs")
    _restrict_files(libc, writable)
    _refuse_system_calls(libc)


def _restrict_files(libc: Any, writable: Iterable[str]) -> None:
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        raise _refusal("Landlock")
    handled = sum(rights for since, rights in _RIGHTS if version >= since)
    attributes = struct.pack(
        "QQQ", handled, _TCP if version >= 4 else 0, _NO_ABSTRACT_SOCKETS_NO_SIGNALS if version >= 6 else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes[:size], size, 0)
    if ruleset < 0:
        raise _refusal("Landlock")
    try:
        for path in (*_DEVICES, *_nvidia(), *writable):
            with suppress(OSError):  # what is not there, or cannot be allowed, stays closed
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                rights = handled if os.path.isdir(path) else handled & _OF_FILES  # noqa: PTH112 - pathlib is slow
                libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
                os.close(place)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise _refusal("Landlock")
    finally:
        os.close(ruleset)


def _nvidia() -> list[str]:
    with suppress(OSError):
        return [f"/dev/{name}" for name in os.listdir("/dev") if name.startswith("nvidia")]  # noqa: PTH208
    return []


def _refuse_system_calls(libc: Any) -> None:
    import ctypes

    machine = os.uname().machine
    if machine not in _REFUSED:
        raise SandboxRefused(errno.ENOSYS, f"no seccomp filter for {machine}")
    program = b"".join(_instructions(machine))
    held = ctypes.create_string_buffer(program, len(program))
    whole = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    if libc.prctl(_SET_SECCOMP, _FILTER, whole, 0, 0):
        raise _refusal("seccomp")


def _instructions(machine: str) -> Iterator[bytes]:
    """The filter: each instruction is its code, jumps where it holds and where not, and a number."""

    def one(code: int, value: int, holds: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("HBBI", code, holds, otherwise, value)

    no, not_there = one(_RETURN, _FAIL | errno.EPERM), one(_RETURN, _FAIL | errno.ENOSYS)
    yield one(_LOAD, 4)  # the architecture
    yield one(_IS, _ARCHITECTURES[machine], 1, 0)
    yield not_there
    yield one(_LOAD, 0)  # the number of the call
    yield one(_FROM, _OTHER_ABI, 0, 1)
    yield not_there
    for number in sorted(set(_REFUSED[machine])):
        yield one(_IS, number, 0, 1)
        yield no
    # Its flags lie in memory, which a filter cannot read: libraries use clone instead.
    yield one(_IS, _CLONE3, 0, 1)
    yield not_there
    yield one(_IS, _CLONE[machine], 0, 3)
    yield one(_LOAD, 16)
    yield one(_ANY_BIT, _NAME_SPACES, 0, 1)
    yield no
    yield one(_RETURN, _ALLOW)


def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _refusal(what: str) -> SandboxRefused:
    import ctypes

    number = ctypes.get_errno()
    return SandboxRefused(number, f"the kernel refuses {what}: {os.strerror(number)}")
