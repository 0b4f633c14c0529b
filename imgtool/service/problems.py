"""What a request can fail with: RFC 9457 documents with the codes and remedies of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from imgtool.errors import EngineClosed, ImgtoolError, NotKept, QueueFull, UsageProblem
from imgtool.types import ImageResult, Problem, Status

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read"),
    "bad_parameter": (400, "A parameter of the query or the body cannot be used"),
    "outside_root": (400, "A path of a job leads out of the folder that the service may read"),
    "key_missing": (401, "No API key was given"),
    "key_wrong": (401, "The API key is not known"),
    "key_expired": (401, "The API key has expired"),
    "forbidden": (403, "This is not allowed with this key, or to this page"),
    "not_found": (404, "There is nothing at this address"),
    "not_kept": (404, "No answer is kept for this image"),
    "method_not_allowed": (405, "This method is not allowed here"),
    "body_timeout": (408, "The body did not arrive in time"),
    "conflict": (409, "The same Idempotency-Key came with another body, or the job has ended already"),
    "job_expired": (410, "The job has ended and its results have been removed"),
    "body_too_large": (413, "The body is larger than the service takes"),
    "unsupported_media_type": (415, "This type of body is not taken here"),
    "image_unusable": (422, "The image cannot be answered; the code says why"),
    "rate_limited": (429, "This client has sent too many requests"),
    "queue_full": (429, "Too many images are waiting already"),
    "header_too_large": (431, "The header is too long"),
    "internal": (500, "A bug in imgtool"),
    "model_failed": (500, "The model failed on this image"),
    "model_load_failed": (503, "A model could not be loaded"),
    "shared_cache_failed": (503, "The shared cache cannot be reached, or refuses what is asked"),
    "draining": (503, "The service is about to stop"),
    "deadline_exceeded": (504, "The image was not answered before the deadline"),
    "timeout": (504, "The image took longer than one image may"),
}
"""The codes that the service gives by itself: status and what they mean. What is wrong with one image has codes of its
own, the same as on the command line, with status 422."""


class ProblemDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every answer that is an error. ``result`` is all that is known of the image."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    remedy: str = ""
    request_id: str | None = None
    result: ImageResult | None = None


class HttpProblem(Exception):
    """An error that ends a request."""

    def __init__(
        self,
        code: str,
        detail: str,
        remedy: str = "",
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        result: ImageResult | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.status, self.title = STATUSES.get(code, STATUSES["image_unusable"])
        if status is not None:
            self.status = status
        self.headers = dict(headers or {})
        self.result = result

    def response(self, request_id: str | None = None) -> Response:
        """The answer that says it."""
        document = ProblemDocument(
            type=f"urn:imgtool:problem:{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            remedy=self.remedy,
            request_id=request_id,
            result=self.result,
        )
        headers = {"cache-control": "no-store", **self.headers}
        return Response(msgspec.json.encode(document), self.status, headers, MEDIA_TYPE)

    def as_problem(self) -> Problem:
        """The same as what goes into a result or an event."""
        return Problem(self.code, self.detail, self.remedy)


class ClientGone(Exception):
    """The client has closed the connection: nobody waits for an answer."""


def from_error(error: ImgtoolError, retry_after: float = 1.0) -> HttpProblem:
    """What the engine raised, as the answer that it deserves."""
    text, remedy = str(error), error.remedy
    if isinstance(error, QueueFull):
        return HttpProblem("queue_full", text, "ask again later", headers={"retry-after": f"{max(1, retry_after):.0f}"})
    if isinstance(error, NotKept):
        return HttpProblem("not_kept", text, "POST the image to /v1/predict")
    if isinstance(error, EngineClosed):
        return HttpProblem("draining", "the service is about to stop", "ask another one", headers={"retry-after": "5"})
    if isinstance(error, UsageProblem):
        return HttpProblem("bad_parameter", text, remedy)
    return HttpProblem("internal", text, remedy)


def of_result(result: ImageResult) -> HttpProblem | None:
    """The answer where an image could not be answered at all; ``None`` where it was, if only in part."""
    if result.status is not Status.FAILED:
        return None
    problems = result.problems()
    problem = (
        problems[0][1] if problems else Problem("internal", "there is no answer, and nothing says why", "report it")
    )
    return HttpProblem(problem.code, problem.message, problem.remedy, result=result)


def encode(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as an answer in JSON."""
    return Response(msgspec.json.encode(value), status, dict(headers or {}), "application/json")
