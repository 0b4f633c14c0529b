"""What can go wrong while a model is found, fetched or checked: each with its message, exit code and remedy."""

from __future__ import annotations

from imgtool.errors import ExitCode, MissingExtra, ModelMissing, ModelNotUsable, UsageProblem


class UnknownModel(UsageProblem):
    """A name that is in no catalogue; the remedy names the nearest one."""


class LanguagesRefused(UsageProblem):
    """A language that no recogniser reads, or a set of languages that no single recogniser reads together."""


class NotInStore(ModelMissing):
    """A model that is not (wholly) here, and that may not be fetched because the run is offline."""


class ModelNotFound(ModelMissing):
    """The server has no such repository, revision or file."""


class AccessDenied(ModelMissing):
    """The repository is private or gated, or the token is not accepted."""


class RepositoryIncomplete(ModelMissing):
    """The repository, archive or folder lacks a file that the model needs."""


class DownloadFailed(ModelMissing):
    """The server could not be reached, or kept failing, until the attempts were used up."""


class UnexpectedAnswer(DownloadFailed):
    """Something answered that is not the server meant: usually a proxy or a login page."""


class BrokenArchive(UnexpectedAnswer):
    """An archive that cannot be unpacked."""


class WrongHash(ModelMissing):
    """A file was fetched twice and is not the one that its publisher describes."""


class FileRefused(ModelNotUsable):
    """A weights file that is damaged, or of a kind that could run code when it is opened."""


class WeightsUnreadable(ModelNotUsable):
    """Weights that are here and may not be read."""


class FetchBusy(ModelMissing):
    """Another process has been fetching or compiling the same model for longer than we are willing to wait."""


class LibraryMissing(MissingExtra):
    """A library that fetching needs is not installed; the remedy names the extra."""

    exit_code = ExitCode.MODEL_MISSING


def unreadable(error: PermissionError) -> WeightsUnreadable:
    """``error``, which names a file, as a message with a remedy."""
    return WeightsUnreadable(
        f"{error.filename} cannot be read: {error.strerror}",
        "mend its permissions, or those of the folders that it is in, then run this again",
    )
