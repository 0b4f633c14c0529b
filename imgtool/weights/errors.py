"""Errors of finding, fetching and checking models."""

from __future__ import annotations

from imgtool.errors import ExitCode, MissingExtra, ModelMissing, ModelNotUsable, UsageProblem
from imgtool.ground.home import mended_by


class UnknownModel(UsageProblem):
    """A name that is not in the catalogue; the remedy names the nearest one."""


class LanguagesRefused(UsageProblem):
    """A language that no recogniser reads, or a set of languages that no single recogniser reads together."""


class NotInStore(ModelMissing):
    """A model that is missing or incomplete here, and may not be fetched because the run is offline."""


class ModelNotFound(ModelMissing):
    """The server has no such repository, revision or file."""


class AccessDenied(ModelMissing):
    """The repository is private or gated, or the token is not accepted."""


class RepositoryIncomplete(ModelMissing):
    """The repository, archive or folder lacks a file that the model needs."""


class DownloadFailed(ModelMissing):
    """The server could not be reached or kept failing, and all attempts are used up."""


class BadEndpoint(DownloadFailed):
    """A variable that should name a server names none."""


class CertificateRefused(DownloadFailed):
    """The certificate of a server is not trusted, or the trusted ones cannot be read."""


class UnexpectedAnswer(DownloadFailed):
    """The answer did not come from the server that was asked: usually a proxy or a login page answered."""


class BrokenArchive(UnexpectedAnswer):
    """An archive that cannot be unpacked."""


class WrongHash(ModelMissing):
    """A file was fetched twice, and both times it was not the one that its publisher describes."""


class FileRefused(ModelNotUsable):
    """A weights file that is damaged, or of a kind that can run code when it is opened."""


class WeightsUnreadable(ModelNotUsable):
    """Weights that are here, but without permission to read them."""


class FetchBusy(ModelMissing):
    """Another process has been fetching or compiling the same model for longer than the timeout."""


class LibraryMissing(MissingExtra):
    """A library that fetching needs is not installed; the remedy names the extra."""

    exit_code = ExitCode.MODEL_MISSING


def unreadable(error: PermissionError) -> WeightsUnreadable:
    """``error``, which names a file, as an error with a remedy."""
    return WeightsUnreadable(f"{error.filename} cannot be read: {error.strerror}", mended_by(error.filename))
