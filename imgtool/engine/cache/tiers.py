"""The result store as the scheduler sees it: the local tier, and behind it the shared one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from imgtool.engine.cache.background import BackgroundStore
from imgtool.engine.cache.records import RECORD_VERSION, Record, Update

if TYPE_CHECKING:
    from imgtool.engine.cache.shared.answers import Question
    from imgtool.engine.cache.shared.store import Found, SharedStore

Records = Mapping[str, Record]


class TieredStore:
    """Both tiers. All methods are the scheduler's, but ``enabled`` and ``figures``, which any thread may ask."""

    def __init__(self, local: BackgroundStore, shared: SharedStore | None = None) -> None:
        self.local = local
        self.shared = shared

    @property
    def enabled(self) -> bool:
        """Whether answers can at least be looked up."""
        return self.local.enabled or (self.shared is not None and self.shared.enabled)

    @property
    def busy(self) -> bool:
        """Whether a look-up is under way."""
        return self.local.busy or (self.shared is not None and self.shared.busy)

    def look_up(
        self,
        keys: Sequence[str],
        lacking: Callable[[Records], Sequence[Question]],
        then: Callable[[Records, frozenset[Question]], None],
    ) -> None:
        """Find the records of a window of images.

        ``lacking`` says which answers the local records do not have: they are asked of the shared tier, all at once,
        and kept in the local one. ``then`` gets the records, and which of their answers came from the shared tier.
        """
        shared = self.shared
        if shared is None:
            self.local.look_up(keys, lambda records: then(records, frozenset()))
            return

        def ask_shared(records: dict[str, Record]) -> None:
            if questions := lacking(records):
                shared.look_up(questions, lambda found: take(records, found))
            else:
                then(records, frozenset())

        def take(records: dict[str, Record], found: Found) -> None:
            updates: dict[str, Update] = {}
            for question, shared_answer in found.items():
                key, fingerprint = question.record, question.fingerprint
                image, answer = shared_answer.image, shared_answer.answer
                # The failures of the record stay for now: a run of what failed before has to see them.
                record = records.get(key) or Record(RECORD_VERSION, None, {})
                answers = {**record.answers, fingerprint: answer}
                records[key] = replace(record, image=record.image or image, answers=answers)
                updates.setdefault(key, Update(key, image, {}, {})).answers[fingerprint] = answer
            if updates:
                self.local.merge(list(updates.values()))
            then(records, frozenset(found))

        self.local.look_up(keys, ask_shared)

    def claim(self, images: Mapping[str, Sequence[str]], then: Callable[[dict[str, Record], set[str]], None]) -> None:
        """Claim images that are to be computed, among the processes that share the local tier."""
        self.local.claim(images, then)

    def merge(self, updates: Sequence[Update], release: Sequence[str] = ()) -> None:
        """Keep what was computed, and give up the claims to the images ``release``. Failures stay in the local tier:
        another machine may do better."""
        self.local.merge(updates, release)
        if updates and self.shared is not None:
            self.shared.write(updates)

    def tick(self) -> None:
        """Give up what takes too long."""
        self.local.tick()
        if self.shared is not None:
            self.shared.tick()

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to do."""
        due = [self.local.seconds_to_deadline(), None if self.shared is None else self.shared.seconds_to_deadline()]
        return min((seconds for seconds in due if seconds is not None), default=None)

    def close(self) -> None:
        """Write what was given, as far as that takes no longer than a few seconds, and close both."""
        if self.shared is not None:
            self.shared.close()
        self.local.close()
