"""What a database of results is: what is written to it, what is found in it, and how one is opened by its URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from imgtool.errors import ExitCode, ImgtoolError, UsageProblem

if TYPE_CHECKING:
    from imgtool.database.entry import Entry
    from imgtool.database.search.query import Node
    from imgtool.types import ImageResult

FOLDER = "database"
FILE = "imgtool.db"
"""The embedded database is ``FOLDER/FILE`` in the cache folder."""

LAST = "\U0010ffff"
"""Comes after every character that a path or a prefix can be continued with."""


def in_64_bits(number: int) -> int:
    """``number``, or the nearest one that a column can hold: nanoseconds since 1970 leave 64 bits in 2262, and files
    may be dated later."""
    return max(-(1 << 63), min(number, (1 << 63) - 1))


class DatabaseUnavailable(ImgtoolError):
    """The database cannot be reached, read or written."""

    exit_code = ExitCode.NOT_WRITABLE


class DatabaseBusy(DatabaseUnavailable):
    """It does not answer now, and may again: locked by another process, or its server is away."""


class DatabaseDamaged(DatabaseUnavailable):
    """The file of an SQLite database is damaged."""


class DatabaseOutdated(DatabaseUnavailable):
    """The database was laid out by another version: too old, too new, or changed by hand."""


class DatabaseUrlProblem(UsageProblem):
    """A URL that names no database."""


class Hit(Struct, frozen=True):
    """A page of a file that was found.

    ``machine`` is the host name of whoever saw the file last, ``gone_at`` when it was first missed (seconds since
    1970), ``score`` how well it matches: higher is better, 0 where the query has no words to rank by.
    """

    file_id: int
    result_id: int
    result: ImageResult
    machine: str
    gone_at: float | None
    score: float


class Found(Struct, frozen=True):
    """What a search found: places of hits, best first, as ``(file_id, score)``.

    ``complete`` is false where there may be more hits than were looked at; the best of all may then be missing among
    those that were ranked.
    """

    places: Sequence[tuple[int, float]]
    complete: bool

    @classmethod
    def best(cls, places: list[tuple[int, float]], window: int | None, limit: int | None) -> Found:
        """The ``limit`` best of ``places``; of equal ones those that came last. No more than ``window`` were asked for,
        plus one that tells that there are more."""
        places.sort(key=lambda place: (-place[1], -place[0]))
        return cls(places[:limit], window is None or len(places) <= window)


class Migration(Struct, frozen=True):
    """A numbered step of a database's layout. ``checksum`` is the SHA-256 of its SQL, ``applied_at`` seconds since 1970
    or ``None``."""

    number: int
    name: str
    checksum: str
    applied_at: float | None = None


class Status(Struct, frozen=True):
    """A database in figures. ``bytes`` is its size on disk; ``pending`` are migrations that are still to be applied."""

    kind: str
    place: str
    version: str
    bytes: int
    counts: dict[str, int] = {}
    applied: tuple[Migration, ...] = ()
    pending: tuple[Migration, ...] = ()
    trouble: tuple[str, ...] = ()


class Database(ABC):
    """Results by path. Used by one thread at a time; any number of processes may use one database at once.

    Every method raises :class:`DatabaseUnavailable` where the database does not answer as it should, and what was
    begun then has not happened.
    """

    kind: str
    place: str
    """The database in words: a path, or a URL without its password."""

    @abstractmethod
    def connect(self, *, write: bool = True, create: bool = False, check: bool = True) -> None:
        """Open the connection, or open it again.

        Without ``write`` a database that cannot be written will do. ``create`` brings the layout up to date; else an
        older one raises, unless ``check`` is false and only :meth:`status` is wanted.

        Raises:
            DatabaseOutdated: its layout is not that of this version.
        """

    @abstractmethod
    def migrate(self) -> tuple[Migration, ...]:
        """Bring the layout up to date; returns the steps that were taken. Of two at once one waits for the other."""

    @abstractmethod
    def recorded_from(self, path: str, page: int, count: int) -> tuple[dict[str, str], tuple[str, int]]:
        """What was noted of a page and of those that follow in the order of paths, as
        :func:`imgtool.database.entry.recorded` writes it, by ``<path>#<page>``: at most ``count`` notes, and the path
        and page before which none is left out."""

    @abstractmethod
    def write(self, entries: Sequence[Entry]) -> None:
        """Keep ``entries``: all or none. Entries that are kept already change nothing."""

    @abstractmethod
    def find(self, query: Node, paths: Sequence[str] = (), limit: int | None = None) -> Found:
        """Where ``query`` is met, below ``paths`` (absolute files or folders; none is everywhere).

        With a ``limit`` at least so many places are found, best first; without one all are.
        """

    @abstractmethod
    def hits(self, places: Sequence[tuple[int, float]]) -> Iterator[Hit]:
        """What was found, in that order. What has gone from the database since is left out."""

    @abstractmethod
    def elsewhere(self, result_id: int, file_id: int) -> list[str]:
        """Other paths of the same content, those seen last first."""

    @abstractmethod
    def fileless(self) -> int:
        """Number of contents that no known file has."""

    @abstractmethod
    def mark_gone(self, file_ids: Iterable[int], *, gone: bool = True) -> None:
        """Note that files are not where they were, or are there again."""

    @abstractmethod
    def forget(self, file_ids: Iterable[int]) -> None:
        """Remove files, and what was said about contents that have no file any more."""

    @abstractmethod
    def files(self) -> Iterator[tuple[int, str, str]]:
        """Every file as ``(file_id, path, machine)``, in the order of ``file_id``."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Everything that is kept, for another database."""

    @abstractmethod
    def setting(self, name: str) -> str | None:
        """A note that was made with :meth:`note`."""

    @abstractmethod
    def note(self, name: str, value: str) -> None:
        """Make a note about the database itself."""

    @abstractmethod
    def status(self, *, thorough: bool = False) -> Status:
        """Figures, also of an outdated layout. ``thorough`` reads everything and says what is damaged."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection. Raises nothing."""


def embedded_path(cache_root: Path) -> Path:
    """Where the embedded database of a cache folder is."""
    return cache_root.absolute() / FOLDER / FILE


def embedded_folders(cache_root: Path) -> tuple[Path, ...]:
    """What there is of embedded databases in a cache folder, those too that were damaged and set aside."""
    return tuple(sorted(cache_root.absolute().glob(FOLDER))) + tuple(
        sorted(cache_root.absolute().glob(f"{FOLDER}.corrupt-*"))
    )
