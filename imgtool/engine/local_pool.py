"""The pool of this machine, as options and a plan ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgtool import trace
from imgtool.engine.plan import Plan
from imgtool.engine.worker_count import threads_of
from imgtool.options import EngineOptions, LoadPolicy, Pages, Truncated
from imgtool.runtime.pool import Pool, PoolLimits, Post
from imgtool.runtime.process import Worker, WorkerProcess
from imgtool.runtime.protocol import Setup, TaskPlan


class LocalPool(Pool):
    """A pool whose workers answer by ``plan``; it starts none before it has work.

    ``gradual``: the first worker has the machine for itself until it has answered an image. ``awaited``: an image is on
    its way already. ``echo_worker`` shows what workers write to stderr.
    """

    def __init__(
        self,
        options: EngineOptions,
        plan: Plan,
        call_soon: Callable[[Callable[[], None]], None],
        *,
        gradual: bool,
        awaited: bool = False,
        echo_worker: bool = False,
    ) -> None:
        self._options = options
        self._alone, self._awaited, self._echo_worker = gradual, awaited, echo_worker
        self._warming_up = False
        limits = PoolLimits(
            workers=options.workers,
            gradual=gradual,
            batch_size=options.batch_size,
            timeout=options.timeout,
            load_timeout=options.load_timeout,
            max_worker_memory=options.max_worker_memory,
        )

        def plans() -> Sequence[TaskPlan]:
            return [choice.for_worker() for choice in plan.chosen.values()]

        super().__init__(self._start_worker, plans, call_soon, limits)

    def warm_up(self) -> None:
        # Workers that start now leave their models to this: one that is loaded already would not be run.
        self._warming_up = True
        super().warm_up()
        self._warming_up = False

    def _start_worker(self, post: Post, plans: Callable[[], tuple[TaskPlan, ...]], one_by_one: bool) -> Worker:
        options = self._options
        later = one_by_one or self._warming_up
        awaited, self._awaited = self._awaited and not later, False
        alone, self._alone = self._alone, False

        def find_setup() -> Setup:
            return Setup(
                plans=plans(),
                max_pixels=options.max_pixels,
                pdf_dpi=options.pdf_dpi,
                # What is looked at once may have any number of pages.
                max_pages=None if options.pages is Pages.FIRST else options.max_pages,
                max_frames=options.max_pages if options.pages is Pages.ALL else None,
                max_growth=options.max_worker_memory // 2 if options.isolate else None,
                accept_truncated=options.truncated is Truncated.ACCEPT,
                batch_pixels=options.batch_pixels,
                threads=threads_of(options, is_alone=alone),
                # Loaded in isolation, at first use, the model that killed a worker is known by its name.
                load=LoadPolicy.LAZY if later else options.load,
                awaited=awaited,
                idle_ttl=options.idle_ttl,
            )

        if options.isolate:
            with trace.span("start worker", "parent"):
                return WorkerProcess(find_setup, post, echo_stderr=self._echo_worker, sandbox=options.sandbox)
        from imgtool.runtime.worker_thread import WorkerThread

        return WorkerThread(find_setup, post)
