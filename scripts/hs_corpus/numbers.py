"""Numbers that stand on trade documents: tariff codes in the notations of the world, and everything else."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from imgtool.analyzers.codes.hs import table

NOTATIONS: dict[str, tuple[tuple[int, ...], str]] = {
    "hs6 dots": ((4, 2), "."),
    "hs6": ((6,), ""),
    "hs6 parts": ((2, 2, 2), "."),
    "heading": ((4,), ""),
    "us": ((4, 2, 4), "."),
    "us parts": ((4, 2, 2, 2), "."),
    "eu": ((4, 2, 2), " "),
    "eu bare": ((8,), ""),
    "taric": ((4, 2, 2, 2), " "),
    "kr": ((4, 2, 4), ".-"),
    "kr bare": ((10,), ""),
    "kr dots": ((4, 2, 4), "."),
    "kr dashes": ((4, 2, 4), "-"),
    "in": ((8,), ""),
    "br": ((4, 2, 2), "."),
    "jp": ((4, 2, 3), ".-"),
    "jp bare": ((9,), ""),
    "swiss": ((4, 4), "."),
}
"""Lengths of the groups of digits and what stands between them (two characters: the first, then the others)."""

_OLD = ("851712", "851770", "852580", "854140", "382478", "300220", "940540", "940530")
"""Codes that earlier editions listed and HS 2022 does not: documents outlive an edition."""


@dataclass(frozen=True)
class Code:
    """A tariff code as a document shows it. ``label`` says what stands by it: ``latin``, ``hangul`` or ``none``."""

    digits: str
    shown: str
    label: str = "latin"


def tariff_code(rng: random.Random, notation: str, label: str = "latin") -> Code:
    """A random code of HS 2022, one in fifty of an older edition, with random national digits."""
    lengths, marks = NOTATIONS[notation]
    listed = table.load()
    assert listed is not None
    six = rng.choice(_OLD) if rng.random() < 0.02 else rng.choice(sorted(listed.subheadings))
    national = "".join(rng.choice("0000012359") for _ in range(max(0, sum(lengths) - 6)))
    digits = (six + national)[: sum(lengths)]
    groups, place = [], 0
    for length in lengths:
        groups.append(digits[place : place + length])
        place += length
    shown = groups[0]
    for number, group in enumerate(groups[1:]):
        shown += (marks[min(number, len(marks) - 1)]) + group
    return Code(digits, shown, label)


def digits(rng: random.Random, count: int) -> str:
    """``count`` random digits, the first of which is no zero."""
    return rng.choice("123456789") + "".join(rng.choice(string.digits) for _ in range(count - 1))


def price(rng: random.Random) -> str:
    """An amount as any country writes it, sometimes just like a tariff code with six digits."""
    value = rng.choice([rng.uniform(1, 90), rng.uniform(90, 999), rng.uniform(1000, 9999), rng.uniform(10_000, 90_000)])
    return rng.choice(
        [f"{value:,.2f}", f"{value:.2f}", f"{value:.2f}", f"{value:,.2f}".translate(str.maketrans(",.", ".,"))]
    )


def won(rng: random.Random) -> str:
    """An amount in won."""
    return rng.choice(["{:,}", "{:,}원", "₩{:,}", "{}"]).format(rng.randrange(5, 90_000) * 100)


def day(rng: random.Random) -> str:
    """A date."""
    y, m, d = rng.randint(2015, 2029), rng.randint(1, 12), rng.randint(1, 28)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][m - 1]
    return rng.choice(
        [
            f"{y}-{m:02}-{d:02}",
            f"{y}.{m:02}.{d:02}",
            f"{y}{m:02}{d:02}",
            f"{d:02}.{m:02}.{y}",
            f"{d:02}/{m:02}/{y}",
            f"{d} {month} {y}",
            f"{m:02}/{d:02}/{y % 100:02}",
            f"{d:02}{m:02}{y}",
            f"{y % 100:02}{m:02}{d:02}",
        ]
    )


def telephone(rng: random.Random) -> str:
    """A telephone number of one of six countries."""

    def d(count: int) -> str:
        return "".join(rng.choice(string.digits) for _ in range(count))

    return rng.choice(
        [
            f"02-{d(4)}-{d(4)}",
            f"010-{d(4)}-{d(4)}",
            f"+82 2 {d(4)} {d(4)}",
            f"+82-51-{d(3)}-{d(4)}",
            f"(0{d(2)}) {d(6)}",
            f"+1 {d(3)} {d(3)} {d(4)}",
            f"({d(3)}) {d(3)}-{d(4)}",
            f"+91 {d(5)} {d(5)}",
            f"+49 30 {d(8)}",
            f"0{d(9)}",
            f"{d(4)}-{d(4)}",
            f"+44 20 {d(4)} {d(4)}",
        ]
    )


def iban(rng: random.Random) -> str:
    """An account number as banks write it internationally, grouped or not."""
    raw = rng.choice(["DE", "FR", "NL", "ES"]) + digits(rng, 2) + digits(rng, rng.choice([18, 20, 22]))
    return rng.choice([raw, " ".join(raw[i : i + 4] for i in range(0, len(raw), 4))])


def account(rng: random.Random) -> str:
    """A national account number."""
    return rng.choice(
        [f"{digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 6)}", digits(rng, 10), digits(rng, 12), digits(rng, 8)]
    )


def article(rng: random.Random) -> str:
    """An article number: bare digits, dotted digits, letters with digits."""
    six = digits(rng, 6)
    return rng.choice(
        [
            six,
            digits(rng, 8),
            digits(rng, 10),
            f"{six[:4]}.{six[4:]}",
            f"A-{digits(rng, 6)}",
            f"{digits(rng, 3)}.{digits(rng, 3)}.{digits(rng, 2)}",
            f"{rng.choice('KLMT')}{digits(rng, 5)}",
            f"{digits(rng, 4)}-{digits(rng, 2)}",
            digits(rng, 7),
        ]
    )


def document_number(rng: random.Random) -> str:
    """Of an invoice, an order, a declaration."""
    return rng.choice(
        [
            f"INV-{rng.randint(2019, 2029)}-{digits(rng, 4)}",
            digits(rng, 6),
            digits(rng, 8),
            digits(rng, 10),
            f"PO{digits(rng, 7)}",
            f"{rng.randint(2019, 2029)}/{digits(rng, 5)}",
            f"{digits(rng, 5)}-{digits(rng, 2)}-{digits(rng, 6)}M",
            f"{rng.randint(2019, 2029)}{digits(rng, 4)}",
        ]
    )


def business(rng: random.Random) -> str:
    """A registration number of a firm: Korea's, Germany's, India's, Brazil's."""
    return rng.choice(
        [
            f"{digits(rng, 3)}-{digits(rng, 2)}-{digits(rng, 5)}",
            f"DE{digits(rng, 9)}",
            f"27AAPFU{digits(rng, 4)}F1ZV",
            f"{digits(rng, 2)}.{digits(rng, 3)}.{digits(rng, 3)}/0001-{digits(rng, 2)}",
            digits(rng, 10),
            f"{digits(rng, 6)}-{digits(rng, 7)}",
        ]
    )


def postcode(rng: random.Random) -> str:
    """Five or six digits, or letters and digits."""
    return rng.choice(
        [
            digits(rng, 5),
            digits(rng, 6),
            f"{digits(rng, 3)} {digits(rng, 3)}",
            f"{digits(rng, 5)}-{digits(rng, 4)}",
            "SW1A 2AA",
        ]
    )


def weight(rng: random.Random) -> str:
    """A weight, with or without its unit."""
    value = rng.choice([rng.uniform(1, 99), rng.uniform(1000, 9999)])
    return rng.choice(["{:.2f} kg", "{:.2f} KG", "{:.2f}", "{:,.1f} KGS", "{:.3f}", "{:.0f} g"]).format(value)


def container(rng: random.Random) -> str:
    """A container number, or a seal's."""
    return rng.choice(
        [f"MSKU {digits(rng, 6)} {digits(rng, 1)}", f"TCLU{digits(rng, 7)}", f"SL {digits(rng, 6)}", digits(rng, 7)]
    )


def barcode(rng: random.Random) -> str:
    """The digits of an EAN-13 or EAN-8."""
    return rng.choice([f"880{digits(rng, 10)}", f"{digits(rng, 1)} {digits(rng, 6)} {digits(rng, 6)}", digits(rng, 8)])


def service_code(rng: random.Random) -> str:
    """An Indian code of services: they begin with 99."""
    return f"99{rng.randint(5, 9)}{digits(rng, 3)}"


def odds(rng: random.Random) -> str:
    """Other numbers: times, versions, addresses of computers, sizes, positions, lots."""
    return rng.choice(
        [
            f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}",
            f"v{rng.randint(1, 9)}.{digits(rng, 2)}.{digits(rng, 4)}",
            f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}",
            f"{digits(rng, 3)}x{digits(rng, 2)}x{digits(rng, 2)} cm",
            f"LOT {digits(rng, 6)}",
            f"N {digits(rng, 4)}.{digits(rng, 2)} E {digits(rng, 5)}.{digits(rng, 2)}",
            f"{digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)}",
            f"S/N {digits(rng, 10)}",
            f"{digits(rng, 4)}.{digits(rng, 2)}.{digits(rng, 2)}",
        ]
    )
