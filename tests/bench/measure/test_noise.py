"""What else the machine does is seen and said, with what to do about it; and what the machine is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imgtool.bench.data.record import Noise
from imgtool.bench.measure.machine import describe_machine
from imgtool.bench.measure.noise import NoiseWatch, notices_on


def test_a_busy_process_is_named() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as busy:
        try:
            watch = NoiseWatch()
            said = " ".join(watch.notices_before())
            found = watch.finish()
        finally:
            busy.kill()
    assert f"process {busy.pid}" in said
    assert any(f"process {busy.pid}" in each for each in found.busy_processes)
    assert any("--runs" in notice for notice in found.notices)


def test_a_quiet_machine_is_not_complained_about() -> None:
    quiet = Noise(load_before=0.05, steal_share=0.001, swapped_bytes=0, governor="performance", throttled=0)
    assert list(notices_on(quiet)) == []
    assert list(notices_on(Noise())) == []


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (Noise(load_before=1000.0), "load average"),
        (Noise(steal_share=0.2), "20%"),
        (Noise(swapped_bytes=500_000_000), "500 MB"),
        (Noise(governor="powersave"), "powersave"),
        (Noise(throttled=3), "3 times"),
    ],
)
def test_each_kind_of_noise_comes_with_advice(noise: Noise, said: str) -> None:
    (notice,) = notices_on(noise)
    assert said in notice
    assert ": " in notice


def test_what_decides_about_speed_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = describe_machine({"blip": "base 1"}, 2)
    assert found.cpu
    assert found.granted_cores >= 1
    assert found.memory_bytes > 100_000_000
    assert found.libraries["numpy"]
    assert found.weights == {"blip": "base 1"}
    assert found.thread_settings == {"OMP_NUM_THREADS": "3"}
