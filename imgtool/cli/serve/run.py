"""One run of ``imgtool serve``: checks, the engine, the service, its log, the end."""

from __future__ import annotations

import ipaddress
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from imgtool.cli.console import Messages, say
from imgtool.cli.log_format import is_json, log, traceback_lines
from imgtool.distribution import install_command
from imgtool.engine.engine import Engine
from imgtool.engine.observer import Observer
from imgtool.errors import ConfigProblem, ExitCode, MissingExtra, UsageProblem
from imgtool.formats.clean import printable
from imgtool.options import ServiceOptions

if TYPE_CHECKING:
    from imgtool.config import Resolved
    from imgtool.service.gate import Noted

_QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


class _Watcher(Observer):
    """Passes what the engine says on to the log."""

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def notice(self, text: str) -> None:
        self._log.notice(text)


class RequestLog:
    """A line for each request on stderr, as text or as JSON: who, what, how long. Nothing of what an image says."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._messages = Messages(quiet=quiet)

    def request(self, noted: Noted) -> None:
        """A request was answered."""
        if self._quiet or (noted.path in _QUIET_PATHS and noted.status in (200, 503)):
            return
        more = {name: value for name, value in noted.more.items() if name != "timing"}
        if is_json():
            fields = msgspec.structs.asdict(noted) | {"seconds": round(noted.seconds, 6), **more}
            del fields["more"]
            log("info", "request", f"{noted.method} {noted.path} {noted.status}", fields)
            return
        tail = "".join(f" {name}={value}" for name, value in {"code": noted.code, **more}.items() if value is not None)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        head = f"{stamp} {noted.method} {noted.path} {noted.status} {1000 * noted.seconds:.1f}ms {noted.sent}B"
        say(printable(f"{head} {noted.caller or noted.address} id={noted.request_id}{tail}") + "\n")

    def bug(self, noted: Noted, error: Exception) -> None:
        """A request met a bug of ours."""
        lines = traceback_lines(error)
        message = f"internal error in request {noted.request_id}"
        fields = {"request_id": noted.request_id, "path": noted.path, "traceback": lines}
        if not log("error", "bug", message, fields):
            self._messages.error("\n".join([f"{message}:", *lines]))

    def notice(self, text: str) -> None:
        """Something worth knowing once."""
        self._messages.notice(text)


def run(resolved: Resolved) -> ExitCode:
    """Serve until a signal comes.

    Raises:
        imgtool.errors.ImgtoolError: the service cannot be started.
    """
    options = resolved.service
    _check_access(options)
    requests = RequestLog(quiet=resolved.output.quiet)
    if options.root is not None and not options.root.expanduser().is_dir():
        raise ConfigProblem(f"--root: there is no folder {options.root}", "name one that exists")
    with Engine(resolved.engine, observer=_Watcher(requests), queue_limit=100_000) as engine:
        if "batch_size" not in resolved.origins and not any(c.spec.batched for c in engine.plan.chosen.values()):
            # What a worker has been given is computed though its client has left: no more at a time than pays.
            engine.options = msgspec.structs.replace(engine.options, batch_size=1)
        # The models load in the workers while the libraries of the service are imported here.
        engine.warm_up()
        try:
            from imgtool.service.app import Service
            from imgtool.service.connections.server import listen, serve
        except ModuleNotFoundError as error:
            text = f"`imgtool serve` needs {error.name}, which is not installed"
            raise MissingExtra(text, install_command("serve")) from error
        service = Service(engine, options, log=requests.request, warn=requests.notice, report_bug=requests.bug)
        listening = listen(options.host, options.port)
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        on_start = partial(requests.notice, f"serving at {address}")
        return serve(service, options, listening, say=requests.notice, on_start=on_start)


def _check_access(options: ServiceOptions) -> None:
    """
    Raises:
        UsageProblem: others than this machine could ask, and nobody said who may; or a proxy is no address.
    """
    if not _is_local(options.host) and options.api_keys is None:
        program = "imgtool" if sys.argv[0].endswith("imgtool") else "python -m imgtool"
        raise UsageProblem(
            f"--host {options.host} would let everybody on the network use this service",
            f"{program} serve keys add NAME --api-keys imgtool-keys.json, then --api-keys imgtool-keys.json; "
            "or leave --host out",
        )
    for proxy in options.trusted_proxy:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError as error:
            raise UsageProblem(f"--trusted-proxy: {error}", "name an address or a network: 10.0.0.0/8") from error
    if options.rate_limit_storage is not None and options.rate_limit is None:
        raise UsageProblem("--rate-limit-storage needs a limit", "--rate-limit 100/minute")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
