"""The description of the service in OpenAPI 3.1, made from the types that are answered."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from imgtool import __version__
from imgtool.engine.statistics import Statistics
from imgtool.service.events import MEDIA_TYPE as EVENTS
from imgtool.service.jobs.endpoints import MOST_RESULTS, JobList, JobRequest, JobStatus
from imgtool.service.predict import Prediction, Results
from imgtool.service.problems import MEDIA_TYPE as PROBLEM
from imgtool.service.problems import STATUSES, ProblemDocument
from imgtool.service.status import CacheInfo, Capacity, ModelStats, Readiness, Removed
from imgtool.types import ImageResult, Task

_JSON, _LINES, _TEXT = "application/json", "application/jsonl", "text/plain"
_ANYTIME = (400, 401, 403, 429, 431, 500, 503)


class SentEvent(Struct, frozen=True):
    """One event of a stream, as its fields; ``data`` is JSON."""

    id: str
    event: str
    data: str


class Operation(Struct, frozen=True, kw_only=True):
    """What can be asked at an address. ``answers`` are types by status and media type, a tuple
    where it is one of several; ``problems`` statuses of
    problem documents beside those that any request may meet; ``parameters`` are names from the list below."""

    path: str
    method: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Mapping[str, Any]]
    parameters: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    body: str | None = None
    open: bool = False


def _text(pattern: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


_PARAMETERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tasks": ("query", "Tasks, separated by commas; all that the service answers where it is left out.", _text()),
    "languages": ("query", "Languages of the text: refused where the service does not read one.", _text()),
    "page": ("query", "Page of a document, from 0.", {"type": "integer", "minimum": 0, "maximum": 100_000}),
    "deadline": ("query", "Seconds to wait at most.", {"type": "number"}),
    "name": ("query", "What a raw body is called in the result.", _text(maxLength=255)),
    "sha256": ("path", "SHA-256 of the image in hexadecimal.", _text("^[0-9a-fA-F]{64}$")),
    "id": ("path", "The id of a job or of a stream of events.", _text("^[A-Za-z0-9_-]{1,64}$")),
    "after": ("query", "The cursor of the last result that was seen.", {"type": "integer", "minimum": 0}),
    "limit": ("query", "Most results.", {"type": "integer", "minimum": 1, "maximum": MOST_RESULTS}),
    "job-limit": ("query", "Most jobs.", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "If-None-Match": ("header", "The ETag of what is known.", _text()),
    "Last-Event-ID": ("header", "The id of the last event that was seen.", _text("^[0-9]{0,18}$")),
    "Idempotency-Key": ("header", "The same key and body make one job.", _text(r"^[\x21-\x7e]{1,255}$")),
}

_PREDICT = ("tasks", "languages", "page", "deadline", "name")
OPERATIONS = (
    Operation(path="/v1/predict", method="post", name="predict", tag="images", body="images", parameters=_PREDICT,
              summary="Ask about one image, or several; with Accept: text/event-stream each part as it is ready.",
              answers={200: {_JSON: (ImageResult, Results), EVENTS: SentEvent}}, problems=(408, 413, 415, 422, 504)),
    Operation(path="/predict", method="post", name="predictOne", tag="images", body="images", parameters=_PREDICT,
              summary="Ask about one image, in the form of the documents.",
              answers={200: {_JSON: Prediction, EVENTS: SentEvent}}, problems=(408, 413, 415, 422, 504)),
    Operation(path="/v1/results/{sha256}", method="get", name="resultByHash", tag="images",
              parameters=("sha256", "tasks", "languages", "page", "If-None-Match"),
              summary="What is kept about the image with this hash.",
              answers={200: {_JSON: ImageResult}, 304: {}}, problems=(404,)),
    Operation(path="/v1/events/{id}", method="get", name="goOnWithEvents", tag="images",
              parameters=("id", "Last-Event-ID"), summary="Go on with the events of an image after a break.",
              answers={200: {EVENTS: SentEvent}}, problems=(404,)),
    Operation(path="/v1/jobs", method="post", name="makeJob", tag="jobs", body="job",
              parameters=("tasks", "Idempotency-Key"), summary="Have many images answered in the background.",
              answers={202: {_JSON: JobStatus}}, problems=(408, 409, 413, 415)),
    Operation(path="/v1/jobs", method="get", name="listJobs", tag="jobs", parameters=("job-limit",),
              summary="Your jobs, the newest first.", answers={200: {_JSON: JobList}}),
    Operation(path="/v1/jobs/{id}", method="get", name="showJob", tag="jobs", parameters=("id",),
              summary="How far a job is.", answers={200: {_JSON: JobStatus}}, problems=(404, 410)),
    Operation(path="/v1/jobs/{id}", method="delete", name="cancelJob", tag="jobs", parameters=("id",),
              summary="Cancel a job; what is answered stays.",
              answers={200: {_JSON: JobStatus}}, problems=(404, 409, 410)),
    Operation(path="/v1/jobs/{id}/events", method="get", name="jobEvents", tag="jobs",
              parameters=("id", "Last-Event-ID"), summary="The progress of a job as events.",
              answers={200: {EVENTS: SentEvent}}, problems=(404, 410)),
    Operation(path="/v1/jobs/{id}/results", method="get", name="jobResults", tag="jobs",
              parameters=("id", "after", "limit"),
              summary="Results as JSON Lines, while the job runs; Link says where the next are.",
              answers={200: {_LINES: str}}, problems=(404, 410)),
    Operation(path="/v1/stats", method="get", name="stats", tag="service", summary="Figures since the start.",
              answers={200: {_JSON: Statistics}}),
    Operation(path="/model/stats", method="get", name="modelStats", tag="service",
              summary="The same, in the form of the documents.", answers={200: {_JSON: ModelStats}}),
    Operation(path="/v1/capacity", method="get", name="capacity", tag="service", summary="How busy the service is.",
              answers={200: {_JSON: Capacity}}),
    *(
        Operation(path=path, method=method, name=f"{name}{suffix}", tag="service", summary=summary,
                  answers={200: {_JSON: kind}}, problems=problems)
        for path, suffix in (("/v1/cache", ""), ("/model/cache", "Alias"))
        for method, name, summary, kind, problems in (
            ("get", "cache", "The cache of results.", CacheInfo, ()),
            ("delete", "clearCache", "Remove all results; needs an admin key.", Removed, (409,)),
        )
    ),
    Operation(path="/v1/cache/{sha256}", method="delete", name="removeResult", tag="service", parameters=("sha256",),
              summary="Remove what is kept about one image; needs an admin key.",
              answers={200: {_JSON: Removed}}, problems=(404, 409)),
    Operation(path="/metrics", method="get", name="metrics", tag="service", summary="Figures for Prometheus.",
              answers={200: {_TEXT: str}}),
    Operation(path="/livez", method="get", name="live", tag="health", open=True,
              summary="That the process answers.", answers={200: {_TEXT: str}}),
    Operation(path="/readyz", method="get", name="ready", tag="health", open=True,
              summary="Whether models are loaded and work is taken.",
              answers={200: {_JSON: Readiness}, 503: {_JSON: Readiness}}),
)  # fmt: skip

_BINARY = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}


@cache
def describe(
    tasks: tuple[str, ...] = tuple(Task), languages: tuple[str, ...] = (), deadline: float = 60.0
) -> dict[str, Any]:
    """The document at ``/openapi.json`` of a service that answers these tasks in these languages."""
    served = {
        "tasks": _text(_list_of(tasks)),
        "languages": _text(_list_of(languages)),
        "deadline": {"type": "number", "minimum": 0.001, "maximum": deadline},
    }
    kinds: list[Any] = [ProblemDocument, JobRequest]
    for operation in OPERATIONS:
        for kind in (kind for by_type in operation.answers.values() for kind in by_type.values()):
            kinds += kind if isinstance(kind, tuple) else [kind] if kind is not str else []
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    refs = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation, refs, served)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgtool",
            "version": __version__,
            "summary": "Captions, text, labels and codes of images.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        # Without --api-keys nothing is needed.
        "security": [{}, {"bearer": []}, {"header": []}],
    }


def _list_of(names: tuple[str, ...]) -> str:
    """The pattern of a list of names with commas."""
    one = f"({'|'.join(names)})" if names else "[a-z_]+"
    return f"^{one}(,{one})*$"


def _describe(operation: Operation, refs: Mapping[str, Any], served: Mapping[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, by_type in operation.answers.items():
        content = {kind: {"schema": _schema(what, refs)} for kind, what in by_type.items()}
        word = {200: "The answer", 202: "The job was accepted", 304: "Nothing has changed", 503: "Not ready"}[status]
        responses[str(status)] = {"description": word, **({"content": content} if content else {})}
    if 202 in operation.answers:
        responses["202"]["headers"] = {"Location": {"schema": _text(), "description": "Where the job is."}}
    for status in sorted({*operation.problems, *(() if operation.open else _ANYTIME)}):
        codes = [code for code, (of, _) in STATUSES.items() if of == status]
        problem = {PROBLEM: {"schema": refs[str(ProblemDocument)]}}
        responses.setdefault(str(status), {"description": ", ".join(codes), "content": problem})
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": responses,
    }
    if operation.open:
        found["security"] = []
    if operation.parameters:
        found["parameters"] = [_parameter(name, served) for name in operation.parameters]
    if operation.body is not None:
        content = (
            {"image/*": _BINARY, "application/octet-stream": _BINARY, "application/pdf": _BINARY}
            if operation.body == "images"
            else {_JSON: {"schema": refs[str(JobRequest)]}}
        )
        file = {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}, "minItems": 1}
        form = {"type": "object", "properties": {"file": file, "tasks": served["tasks"]}, "required": ["file"]}
        found["requestBody"] = {"required": True, "content": {**content, "multipart/form-data": {"schema": form}}}
    return found


def _schema(kind: Any, refs: Mapping[str, Any]) -> Any:
    if isinstance(kind, tuple):
        return {"anyOf": [refs[str(each)] for each in kind]}
    return _text() if kind is str else refs[str(kind)]


def _parameter(name: str, served: Mapping[str, Any]) -> dict[str, Any]:
    place, meaning, schema = _PARAMETERS[name]
    schema = served.get(name, schema)
    required = {"required": True} if place == "path" else {}
    return {"name": name.removeprefix("job-"), "in": place, "description": meaning, "schema": schema, **required}
