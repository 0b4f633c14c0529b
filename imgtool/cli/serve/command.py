"""``imgtool serve``: the engine as a service over HTTP, and its API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgtool import trace
from imgtool.cli.analyze import options as o
from imgtool.cli.analyze.options import Many, Text, option
from imgtool.cli.boundary import boundary
from imgtool.cli.console import Messages, data_console, plain_table, print_line
from imgtool.cli.help import HelpAll, ManyOptionsGroup

_SERVICE, _SAFETY, _LIMITS = "Service", "Who may ask", "Most that is taken"
_NOT_OPTIONS = {"help_all"}

app = typer.Typer(cls=ManyOptionsGroup, invoke_without_command=True)
keys_app = typer.Typer(help="Make, list and remove the API keys of a service.", no_args_is_help=True)
app.add_typer(keys_app, name="keys", short_help="Make, list and remove API keys.")

KeyFile = Annotated[Path, typer.Option("--api-keys", metavar="FILE", help="The file of keys.", show_default=True)]
_KEY_FILE = Path("imgtool-keys.json")


@app.callback()
def serve(
    ctx: typer.Context,
    host: Annotated[Text, option(_SERVICE, "Address (default: 127.0.0.1).", "--host", takes="ADDRESS")] = None,
    port: Annotated[Text, option(_SERVICE, "Port (default: 8000); 0: one that is free.", "--port", takes="N")] = None,
    root: Annotated[Text, option(_SERVICE, "Folder whose images jobs may name.", "--root", takes="DIR")] = None,
    grace: Annotated[Text, option(_SERVICE, "Time to finish when stopped (default: 30s).", takes="TIME")] = None,
    jobs_dir: Annotated[Text, option(_SERVICE, "Where jobs are kept (default: in the cache).", takes="DIR")] = None,
    job_ttl: Annotated[Text, option(_SERVICE, "Keep ended jobs this long (default: 1d).", takes="TIME")] = None,
    api_keys: Annotated[Text, option(_SAFETY, "File of keys, from `serve keys add`.", takes="FILE")] = None,
    rate_limit: Annotated[Text, option(_SAFETY, "Most requests of a client: 100/minute.", takes="RATE")] = None,
    rate_limit_storage: Annotated[
        Text, option(_SAFETY, "Count them in Redis, for several services.", takes="URL")
    ] = None,
    trusted_proxy: Annotated[
        Many, option(_SAFETY, "Believe X-Forwarded-For from here. Repeatable.", takes="ADDRESS")
    ] = None,
    max_body: Annotated[Text, option(_LIMITS, "Largest body (default: 20MiB).", takes="SIZE")] = None,
    queue: Annotated[Text, option(_LIMITS, "Images that may wait (default: 64).", takes="N")] = None,
    deadline: Annotated[Text, option(_LIMITS, "Longest wait of a request (default: 60s).", takes="TIME")] = None,
    tasks: o.Tasks = None,
    languages: o.Languages = None,
    caption_engine: o.CaptionEngine = None,
    text_engine: o.TextEngine = None,
    ocr: o.Ocr = None,
    labels_model: o.LabelsModel = None,
    labels_file: o.LabelsFile = None,
    classifier: o.Classifier = None,
    top_k: o.TopK = None,
    codes: o.Codes = None,
    strict: o.Strict = None,
    quiet: o.Quiet = None,
    verbose: o.Verbose = None,
    cache: o.Cache = None,
    cache_dir: o.CacheDir = None,
    shared_cache: o.SharedCache = None,
    cluster: o.Cluster = None,
    workers: o.Workers = None,
    timeout: o.Timeout = None,
    device: o.Device = None,
    precision: o.Precision = None,
    pages: o.Pages = None,
    truncated: o.Truncated = None,
    pdf_dpi: o.PdfDpi = None,
    backend: o.Backend = None,
    easyocr_dir: o.EasyocrDir = None,
    labels_engine: o.LabelsEngine = None,
    labels_config: o.LabelsConfig = None,
    threshold: o.Threshold = None,
    caption_model: o.CaptionModel = None,
    caption_revision: o.CaptionRevision = None,
    caption_prompt: o.CaptionPrompt = None,
    num_beams: o.NumBeams = None,
    max_new_tokens: o.MaxNewTokens = None,
    min_new_tokens: o.MinNewTokens = None,
    max_pixels: o.MaxPixels = None,
    max_pages: o.MaxPages = None,
    cache_size: o.CacheSize = None,
    cache_ttl: o.CacheTtl = None,
    shared_ttl: o.SharedTtl = None,
    load_timeout: o.LoadTimeout = None,
    idle_ttl: o.IdleTtl = None,
    node_timeout: o.NodeTimeout = None,
    max_worker_memory: o.MaxWorkerMemory = None,
    sandbox: o.Sandbox = None,
    threads: o.Threads = None,
    batch_size: o.BatchSize = None,
    batch_pixels: o.BatchPixels = None,
    weights: o.Weights = None,
    scale: o.Scale = None,
    load: o.Load = None,
    isolate: o.Isolate = None,
    help_all: HelpAll = False,
) -> None:
    """Answer over HTTP what analyze answers about files: at http://127.0.0.1:8000, until it is stopped.

    Only this machine may ask, unless --api-keys names who else may.
    """
    if ctx.invoked_subcommand is not None:
        return
    with boundary(verbose=bool(verbose)):
        trace.command_line_read()
        from imgtool.config import resolve

        resolved = resolve({name: value for name, value in ctx.params.items() if name not in _NOT_OPTIONS})
        with boundary(verbose=resolved.output.verbose):
            from imgtool.cli.serve.run import run

            raise typer.Exit(run(resolved))


@keys_app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.", show_default=False)],
    api_keys: KeyFile = _KEY_FILE,
    role: Annotated[str, typer.Option(metavar="ROLE", help="monitor, user or admin.")] = "user",
    expires: Annotated[Text, typer.Option(metavar="TIME", help="Valid for this long, such as 90d.")] = None,
) -> None:
    """Make a key and print it. It is shown this once: the file keeps a hash of it."""
    with boundary():
        from imgtool.quantities import parse_duration, parse_option
        from imgtool.service.keys import add_key, parse_role

        lifetime = None if expires is None else parse_option("--expires", expires, parse_duration)
        print_line(add_key(api_keys, name, parse_role(role), lifetime))
        Messages().notice(f"only its hash is in {api_keys}: keep it now")


@keys_app.command("list")
def list_keys(api_keys: KeyFile = _KEY_FILE) -> None:
    """Show names, roles and expiry."""
    with boundary():
        import time

        from imgtool.service.keys import read_keys

        table = plain_table("name", "role", "made", "expires")
        for key in read_keys(api_keys):
            made, ends = (
                None if at is None else time.strftime("%Y-%m-%d", time.gmtime(at)) for at in (key.created, key.expires)
            )
            table.add_row(
                key.name, key.role, made, f"{ends} (expired)" if key.expired(time.time()) else ends or "never"
            )
        data_console().print(table)


@keys_app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", show_default=False)],
    api_keys: KeyFile = _KEY_FILE,
) -> None:
    """Remove a key; a running service refuses it within a second."""
    with boundary():
        from imgtool.service.keys import remove_key

        remove_key(api_keys, name)
        print_line(f"removed {name}")
