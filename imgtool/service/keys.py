"""API keys: a file of hashes with names, roles and expiry. The keys themselves are shown once, when they are made.

A key is 256 random bits, so one SHA-256 keeps it as well as a slow hash would: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from imgtool.errors import ConfigProblem, UsageProblem, nearest
from imgtool.files import write_output
from imgtool.ground.versioned import read_json

_VERSION = 1
_PREFIX = "imgtool_"
_NAME = re.compile(r"[\w.@-]{1,64}")
_LOOK_SECONDS = 1.0


class Role(StrEnum):
    """What a key may do: look at figures; ask about images as well; remove results and see all jobs as well."""

    MONITOR = "monitor"
    USER = "user"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether it may do what ``other`` may."""
        return self is other or _ROLES.index(self) >= _ROLES.index(other)


_ROLES = tuple(Role)


def parse_role(given: str) -> Role:
    """The role with this name.

    Raises:
        UsageProblem: there is none.
    """
    if given not in list(Role):
        raise UsageProblem(f"there is no role {given!r}", nearest(given, list(Role)))
    return Role(given)


class Key(Struct, frozen=True, kw_only=True):
    """A key as it is kept. Times are seconds since 1970; ``hash`` is SHA-256 in hexadecimal."""

    name: str
    role: Role
    hash: str
    created: float
    expires: float | None = None

    def expired(self, now: float) -> bool:
        """Whether it is no longer valid."""
        return self.expires is not None and self.expires <= now


class _KeyFile(Struct, frozen=True):
    keys: tuple[Key, ...]
    version: int = _VERSION


class KeyRejected(Exception):
    """A key that opens nothing. ``code`` is that of the answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file.

    Raises:
        ConfigProblem: it cannot be read, or is no file of keys.
    """
    try:
        found = read_json(path.read_bytes(), _KeyFile)
    except FileNotFoundError as error:
        remedy = f"imgtool serve keys add NAME --api-keys {path}"
        raise ConfigProblem(f"there is no file of API keys at {path}", remedy) from error
    except OSError as error:
        raise ConfigProblem(
            f"the API keys in {path} cannot be read: {error.strerror}", "check its permissions"
        ) from error
    except ValueError as error:
        remedy = f"make another one: imgtool serve keys add NAME --api-keys {path}.new"
        raise ConfigProblem(f"{path} is no file of API keys: {error}", remedy) from error
    if found.version != _VERSION:
        raise ConfigProblem(f"{path} was written by another version of imgtool ({found.version})", "make another one")
    return found.keys


def add_key(path: Path, name: str, role: Role, lifetime: float | None) -> str:
    """Make a key and add its hash to the file, which is made if need be. ``lifetime`` is in seconds.

    Raises:
        UsageProblem: the name is taken, or is none.
        ConfigProblem: the file is no file of keys.
        imgtool.errors.OutputNotWritable: it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageProblem(f"{name!r} is no name of a key", "take up to 64 letters, digits and . @ _ -")
    kept = read_keys(path) if path.exists() else ()
    if any(key.name == name for key in kept):
        remedy = f"take another name, or remove that one: imgtool serve keys remove {name} --api-keys {path}"
        raise UsageProblem(f"there is a key called {name!r} already", remedy)
    secret = _PREFIX + secrets.token_urlsafe(32)
    now = time.time()
    expires = None if lifetime is None else now + lifetime
    _write(path, (*kept, Key(name=name, role=role, hash=_hash(secret), created=now, expires=expires)))
    return secret


def remove_key(path: Path, name: str) -> None:
    """Take a key out of the file.

    Raises:
        UsageProblem: it is not there.
        ConfigProblem: the file is no file of keys.
        imgtool.errors.OutputNotWritable: it cannot be written.
    """
    kept = read_keys(path)
    if all(key.name != name for key in kept):
        names = [key.name for key in kept]
        raise UsageProblem(f"there is no key called {name!r}", nearest(name, names) if names else "there are none")
    _write(path, tuple(key for key in kept if key.name != name))


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    former = os.umask(0o077)
    try:
        write_output(path, msgspec.json.format(msgspec.json.encode(_KeyFile(keys)), indent=2) + b"\n")
    finally:
        os.umask(former)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    """The keys of a running service. The file is looked at again when it has changed, so that a key that is removed
    opens nothing within a second."""

    def __init__(self, path: Path, warn: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        """
        Raises:
            ConfigProblem: the file cannot be read, or holds no key.
        """
        self._path = path
        self._warn = warn
        self._clock = clock
        self._stamp = self._look()
        self._looked = clock()
        self._keys = read_keys(path)
        if not self._keys:
            remedy = f"imgtool serve keys add NAME --api-keys {path}"
            raise ConfigProblem(f"there is no key in {path}", remedy)

    def find(self, secret: str) -> Key:
        """The key that ``secret`` is. Takes as long for a wrong one as for a right one.

        Raises:
            KeyRejected: it is none, or has expired.
        """
        self._refresh()
        hashed, found = _hash(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.hash, hashed):
                found = key
        if found is None:
            raise KeyRejected("key_wrong", "the API key is not known")
        if found.expired(self._clock()):
            raise KeyRejected("key_expired", f"the API key {found.name!r} has expired")
        return found

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _refresh(self) -> None:
        now = self._clock()
        if 0 <= now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._path)
        except ConfigProblem as error:
            # Fails closed: whoever removes the file means to lock everybody out.
            self._keys = ()
            self._warn(f"{error}: every key is refused until it is there again")
