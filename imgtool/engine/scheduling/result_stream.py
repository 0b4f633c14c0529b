"""The way from named paths to finished requests, in order: the inside of an analysis.

A thread of its own lists files. What it finds is identified and submitted, a window ahead of the requests that were
taken; a document's other pages are submitted once its first says how many there are, also within a bound.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from msgspec import Struct

from imgtool.engine.files.discover import Finder, ImageRef, Named, RefusedPath, Rules, TakenOver
from imgtool.engine.files.identify import Identified, Identifier
from imgtool.engine.files.reorder import ReorderBuffer
from imgtool.engine.observer import Observer
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.scheduling.scheduler import Scheduler
from imgtool.engine.statistics import Tally
from imgtool.errors import WorkerUnusable
from imgtool.options import EngineOptions, Pages
from imgtool.runtime.protocol import too_many_pages

_COUNT_AHEAD = 100_000
"""Files that are listed ahead where somebody wants to know how many there are: some 30 MB."""
_WINDOW = 256
"""Files that are asked about at once, at least."""

_CLUSTER_WINDOW = 8192
"""The same on a cluster, whose nodes have up to two batches each."""

_CHUNK = 64
"""Known files are submitted so many at a time: threads that wake each other for each file are slow."""

_TOLD_EVERY = 64
_HELD_SECONDS = 0.05


class _Document(Struct, eq=False):
    """A listed file, by its place in the line: the requests for its pages that were not taken yet, and which page is
    to be asked for next."""

    number: int
    requests: deque[PageRequest]
    next_page: int = 1
    pages: int = 1
    counted: bool = True
    """Whether ``pages`` is known, or of no interest."""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to take, now or later."""
        return not self.requests and self.counted and self.next_page >= self.pages


class ResultStream:
    """See the module's docstring. ``take`` is for one thread at a time; ``tick``, ``fail`` and ``more_coming`` are the
    scheduler's (:class:`imgtool.engine.scheduling.scheduler.Source`)."""

    def __init__(
        self,
        scheduler: Scheduler,
        identifier: Identifier,
        options: EngineOptions,
        tasks: tuple[str, ...],
        paths: Iterable[Named],
        observer: Observer,
        tally: Tally,
    ) -> None:
        self._scheduler = scheduler
        self._identifier = identifier
        self._options = options
        self._tasks = tasks
        self._observer = observer
        self._tally = tally
        rules = Rules(include=options.include, exclude=options.exclude, hidden=options.hidden)
        self._finder = Finder(paths, rules, identifier.is_known_image)
        tally.figures.passed_over = self._finder.passed_over
        self._ahead = _COUNT_AHEAD if observer.wants_total else 0
        least = _WINDOW if options.cluster is None else _CLUSTER_WINDOW
        self._window = self._room = max(least, 4 * options.batch_size * options.workers)
        # On top of the window: else the pages of a long document at the head of the line would wait for each other.
        self._page_room = 2 * options.batch_size * max(1, options.workers)
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._roomy = threading.Condition(lock)
        self._listeners: list[Callable[[], None]] = []
        self._news: deque[Callable[[Observer], None]] = deque()
        self._listed: deque[tuple[ImageRef | RefusedPath, str | None]] = deque()
        self._found = 0
        self._submitted = 0
        self._complete = False
        self._error: BaseException | None = None
        self._line: deque[_Document] = deque()
        self._growing: list[tuple[_Document, PageRequest]] = []
        self._reorder: ReorderBuffer[PageRequest] = ReorderBuffer()
        self._seq = 0
        self._chunk: list[PageRequest] = []
        self._begun = False
        self._ended = False

    # -- for whoever takes the results

    def begin(self) -> bool:
        """Begin to list; whether that was not done before."""
        if self._begun:
            return False
        self._begun = True
        self._scheduler.attach(self)
        try:
            threading.Thread(target=self._list, name="list", daemon=True).start()
        except RuntimeError as error:
            self.close()
            text = f"no thread can be started that lists the files: {error}"
            raise WorkerUnusable(text, "allow more processes and threads: ulimit -u") from error
        return True

    def take(self, listener: Callable[[], None] | None = None) -> PageRequest | None:
        """The next request in order, if it is done. Where it is not, ``listener`` is called at the next change.

        Raises:
            StopIteration: there are no more.
            Exception: what ended the listing early, once everything before it was taken.
        """
        with self._changed:
            while self._line and self._line[0].is_over:
                self._line.popleft()
            if self._line:
                requests = self._line[0].requests
                if requests and requests[0].done and self._line[0].counted:
                    request = requests.popleft()
                    if request.page:
                        self._page_room += 1
                    else:
                        self._room += 1
                    self._advance()
                    if self._room >= self._window // 2:
                        self._roomy.notify_all()
                    return request
            elif self._ended or (self._complete and not self._listed):
                error, self._error = self._error, None
                self.close()
                raise error or StopIteration
            if listener is not None:
                self._listeners.append(listener)
            return None

    def wait(self) -> PageRequest:
        """The next request in order, once it is done. Raises what :meth:`take` raises."""
        while True:
            self.tell_news()
            if (request := self.take()) is not None:
                return request
            self.tell_waiting()
            with self._changed:
                if (request := self.take()) is not None:
                    return request
                if not self._news:
                    self._changed.wait()

    def close(self) -> None:
        """Stop: what waits is not computed, what has begun is kept."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._listed.clear()
            left = [request for document in self._line for request in document.requests if not request.done]
            self._line.clear()
            self._growing.clear()
            self._wake()
        for request in left:
            self._scheduler.cancel(request)
        if self._begun:
            self._scheduler.detach(self)
            self._identifier.flush()

    def fail(self, error: BaseException) -> None:
        """The scheduler has ended: whoever takes the results gets ``error``."""
        with self._changed:
            if not self._ended:
                self._error = error
        self.close()

    def observe(self, news: Callable[[Observer], None]) -> bool:
        """Have the observer told something by whoever takes the results; whether anybody does that."""
        with self._changed:
            if self._ended or not self._begun:
                return False
            self._news.append(news)
            self._wake()
        return True

    def tell_waiting(self) -> None:
        """Tell the observer that the next request is not done yet."""
        self._observer.waiting()

    def tell_news(self) -> None:
        """Tell the observer what there is to tell."""
        while self._news:
            self._news.popleft()(self._observer)

    # -- listing

    def _list(self) -> None:
        error: BaseException | None = None
        try:
            while (entry := self._finder.next()) is not None:
                if not self._on_listed(entry):
                    return
        except TakenOver:
            return
        except BaseException as problem:  # noqa: BLE001 - whoever takes the results gets it
            error = problem
        with self._changed:
            if self._ended:
                return
            self._complete, self._error = True, error
            found = self._found
            self._news.append(lambda observer: observer.found(found, complete=True))
            self._wake()

    def _on_listed(self, entry: ImageRef | RefusedPath) -> bool:
        """Take in a file; waits until there is room for more. Whether to go on."""
        # Not under the lock: the index may not answer.
        known = None if isinstance(entry, RefusedPath) else self._finder.known(entry, self._identifier.known)
        with self._changed:
            if self._ended:
                return False
            self._listed.append((entry, known))
            self._found += 1
            if self._found == 1 or self._found % _TOLD_EVERY == 0:
                found = self._found
                self._news.append(lambda observer: observer.found(found, complete=False))
            self._advance()
            self._roomy.wait_for(lambda: self._ended or self._room or len(self._listed) < self._ahead)
            return not self._ended

    def tick(self) -> None:
        """Submit what was gathered, and go on behind what the system does not answer. Called when nothing happens."""
        with self._changed:
            if self._reorder.held_seconds() >= _HELD_SECONDS:
                self._chunk += self._reorder.let_go()
            self._submit()
        since = self._finder.waiting_since
        if since is not None and self._finder.now() - since > self._options.timeout and not self._ended:
            with suppress(RuntimeError):  # no more threads: at the next tick, perhaps
                threading.Thread(target=self._list_on, name="list", daemon=True).start()

    def _list_on(self) -> None:
        """Take the place of a thread that has not come back."""
        found = self._finder.take_over(self._identifier.give_up_index)
        if found is None or self._on_listed(found):
            self._list()

    @property
    def more_coming(self) -> bool:
        """Whether there are requests that are not submitted yet."""
        return not self._ended and (not self._complete or self._submitted < self._found)

    # -- submitting; under the lock

    def _advance(self) -> None:
        """Ask about what is next, as far as there is room: pages of documents first, which are earlier in the line."""
        full = _CHUNK
        while self._growing and not self._ended:
            document, first = self._growing[0]
            # Later documents may hold all the room: the one whose page is taken next never waits for them.
            if self._page_room <= 0 and (document is not self._line[0] or document.requests):
                break
            full = 1  # the scheduler may be waiting for nothing else
            self._page_room -= 1
            page = self._request(first.name, first.ref, first.sha256, page=document.next_page, pages=document.pages)
            page.content, page.content_size = first.content, first.content_size
            document.next_page += 1
            document.requests.append(page)
            if document.next_page >= document.pages:
                del self._growing[0]
            self._chunk.append(page)
        while self._listed and self._room and not self._ended:
            self._room -= 1
            self._begin_file(*self._listed.popleft())
        if len(self._chunk) >= full:
            self._submit()

    def _begin_file(self, entry: ImageRef | RefusedPath, sha256: str | None) -> None:
        ref = entry if isinstance(entry, ImageRef) else None
        request = self._request(entry.path, ref, sha256)
        if ref is not None and ref.content is not None:
            request.ref, request.content, request.content_size = None, ref.content, ref.size
        number, self._seq = self._seq, self._seq + 1
        document = _Document(number, deque((request,)), counted=False)
        request.on_done = lambda request: self._on_first_page(document, request)
        self._line.append(document)
        if isinstance(entry, RefusedPath):
            request.error = entry.problem
        elif sha256 is None:
            # Somebody may be waiting for the first image: what has to be read is passed on at once.
            self._identifier.identify(entry, lambda found: self._on_identified(number, request, found))
            return
        self._chunk += self._reorder.add(number, request)

    def _request(
        self, name: str, ref: ImageRef | None, sha256: str | None = None, *, page: int = 0, pages: int = 1
    ) -> PageRequest:
        return PageRequest(
            name=name,
            tasks=self._tasks,
            on_done=self._on_done,
            tally=self._tally,
            ref=ref,
            sha256=sha256,
            page=page,
            pages=pages,
            caller=self,
            only_failed=self._options.retry_failed,
        )

    def _on_identified(self, number: int, request: PageRequest, found: Identified) -> None:
        request.ref, request.sha256, request.error = found.ref or request.ref, found.sha256, found.problem
        with self._changed:
            self._chunk += self._reorder.add(number, request)
            self._submit()

    def _submit(self) -> None:
        if self._chunk and not self._ended:
            chunk, self._chunk = self._chunk, []
            self._submitted += sum(not request.page for request in chunk)
            self._scheduler.submit(chunk)

    # -- what has become of requests; in the scheduler's thread

    def _on_done(self, request: PageRequest) -> None:
        with self._changed:
            # Whoever takes the first one finds the others that are done.
            if self._line and self._line[0].requests and self._line[0].requests[0] is request:
                self._wake()

    def _on_first_page(self, document: _Document, request: PageRequest) -> None:
        with self._changed:
            image, which = request.image, self._options.pages
            pages = image.pages if image is not None else request.pages
            document.counted = True
            if which is Pages.ALL or (which is Pages.AUTO and (image is None or image.is_document)):
                document.pages = pages
            elif pages > 1:
                self._leave_out(document, request, pages)
            if image is not None and document.pages > self._options.max_pages and not self._ended:
                # Known from a run without that limit, or that looked at one frame.
                refused = self._request(request.name, request.ref, request.sha256)
                refused.error = too_many_pages(image.format, pages, self._options.max_pages)
                document.pages, document.requests[0] = 1, refused
                self._chunk.append(refused)
                self._submit()
            elif document.pages > 1 and not self._ended:
                # First pages are answered in any order.
                insort(self._growing, (document, request), key=lambda growing: growing[0].number)
                self._advance()
                self._submit()
            self._wake()

    def _leave_out(self, document: _Document, first: PageRequest, pages: int) -> None:
        """One page stands for all: the first, or the first that shows something."""
        shown = first.image.shown if first.image is not None and self._options.pages is Pages.AUTO else 0
        what = "page" if first.image is None or first.image.is_document else "frame"
        first.left_out = f"{what} {shown + 1} of {pages} is analyzed (--pages all: every {what})"
        if not shown or self._ended:
            return
        other = self._request(first.name, first.ref, first.sha256, page=shown, pages=pages)
        other.left_out = first.left_out
        document.requests[0] = other
        self._chunk.append(other)
        self._submit()

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._ended:
            self._roomy.notify_all()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
