"""The documents: invoices, packing lists, receipts, customs forms, letters and labels, each a layout with its words.

A :class:`Template` is one look. Those of the ``held-out`` split have other words than those of ``train`` (two labels,
HS CODE and HS코드, are in both), and five of their layouts (letter, parcel label, account statement, bill of lading,
certificate) do not occur in training at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hs_corpus import numbers as n
from hs_corpus.numbers import Code, tariff_code
from hs_corpus.page import Page, Part
from hs_corpus.words import WORDS, Words


@dataclass(frozen=True)
class Template:
    """One look of a document.

    ``label`` is what stands by its tariff codes, ``script`` what that is written in (``latin``, ``hangul``, ``none``).
    ``share`` is how many of its documents have tariff codes at all.
    """

    name: str
    kind: str
    language: str
    split: str
    layout: Callable[[Template, random.Random, Words], Page]
    label: str
    notations: tuple[str, ...]
    script: str = "latin"
    place: str = "column"
    face: str = "gothic"
    grid: bool = False
    share: float = 0.75

    def draw(self, seed: int) -> Page:
        """Its document of that number."""
        rng = random.Random(f"{self.split} {self.name} {seed}")
        return self.layout(self, rng, WORDS[self.language, self.split])

    def code(self, rng: random.Random, notation: str) -> Code:
        """A tariff code in one of its notations."""
        return tariff_code(rng, notation, self.script)


def table_document(t: Template, rng: random.Random, w: Words) -> Page:
    """A page with a head, a table of goods and a foot, as wide as the table needs."""
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    columns = _columns(t, rng, w, with_codes)
    heads = [head for head, _, _ in columns]
    rows, below = _rows(t, rng, columns, notation if with_codes else "")
    size, gap = rng.randint(18, 22), rng.choice([16, 24, 36])
    lefts, ends = _spread(Page(1, 1, t.face, size), [heads, *rows], below, gap)
    page = Page(max(1000, round(ends[-1]) + 60), 1414, t.face, size)
    page.write(60, 50, rng.choice(w.invoice if t.kind == "invoice" else w.packing), size=1.6)
    y = top = _parties(page, rng, w, 60 + 2.2 * size)
    rights = [right for _, right, _ in columns]
    for left, end, head, right in zip(lefts, ends, heads, rights, strict=True):
        page.write(end if right else left, y, head, right=right, size=0.95)
    y += 1.9 * size
    page.rule(55, y - 0.3 * size, page.width - 55, y - 0.3 * size)
    for number, cells in enumerate(rows):
        for left, end, cell, right in zip(lefts, ends, cells, rights, strict=True):
            page.write(end if right else left, y, cell, right=right)
        if below:
            page.write(lefts[1], y + 1.4 * size, *below[number], size=0.9)
        y += (3.2 if below else 1.7) * size + rng.choice([0, 0, 0.4 * size])
    if t.grid:
        for left in lefts:
            page.rule(left - gap / 2, top - 4, left - gap / 2, y)
    page.rule(55, y, page.width - 55, y)
    y = _sums(page, rng, w, y + 0.6 * size, t.language)
    if t.place == "foot" and with_codes:
        several: list[Part] = []
        for count in range(rng.randint(1, 4)):
            several += [rng.choice([", ", ",", " / "]) if count else f"{t.label}: ", t.code(rng, notation)]
        page.write(60, y, *several)
        y += 1.8 * size
    _foot(page, rng, w, y + size)
    return page


def _rows(
    t: Template, rng: random.Random, columns: list[Column], notation: str
) -> tuple[list[list[Part]], list[tuple[Part, ...]]]:
    """The cells of one to eight goods, and what stands below the second cell of each, if anything does."""
    heads = [head for head, _, _ in columns]
    rows: list[list[Part]] = []
    below: list[tuple[Part, ...]] = []
    for number in range(rng.randint(1, 8)):
        cells: list[Part] = [make(rng) for _, _, make in columns]
        cells[0] = str(number + 1)
        if t.label in heads:
            cells[heads.index(t.label)] = t.code(rng, notation)
        rows.append(cells)
        if notation and t.place == "inline":
            below.append((f"{t.label}{rng.choice([': ', ' ', '. '])}", t.code(rng, notation)))
        elif notation and t.place == "brackets":
            below.append(("(", t.code(rng, notation), ")"))
    return rows, below


def _spread(
    ruler: Page, rows: Sequence[Sequence[Part]], below: list[tuple[Part, ...]], gap: float
) -> tuple[list[float], list[float]]:
    """The left and the right ends of columns that hold ``rows``, and the lines ``below`` the cells of the second."""

    def width(*parts: Part) -> float:
        return ruler.measure("".join(part if isinstance(part, str) else part.shown for part in parts))

    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    widths[1] = max([widths[1], *(width(*parts) for parts in below)])
    spare = max(0.0, (880 - sum(widths) - gap * (len(widths) - 1)) / len(widths))
    lefts, ends, left = [], [], 60.0
    for each in widths:
        lefts.append(left)
        ends.append(left + each)
        left += each + gap + spare
    return lefts, ends


def _parties(page: Page, rng: random.Random, w: Words, y: float) -> float:
    size = page.size
    left = [
        rng.choice(w.sellers),
        rng.choice(w.streets),
        f"{w.postcode} {n.postcode(rng)}",
        f"{w.telephone}: {n.telephone(rng)}",
    ]
    left += [f"{w.fax} {n.telephone(rng)}"] * rng.randint(0, 1) + [f"{w.business}: {n.business(rng)}"]
    right = [f"{w.number}: {n.document_number(rng)}", f"{w.day}: {n.day(rng)}", f"{w.order}: {n.document_number(rng)}"]
    right += [n.day(rng), n.document_number(rng), rng.choice(w.sellers), n.telephone(rng)][rng.randint(0, 3) :]
    for row, text in enumerate(left):
        page.write(60, y + row * 1.5 * size, text)
    for row, text in enumerate(right):
        name, colon, value = text.partition(": ")
        if colon and rng.random() < 0.5:
            page.write(600, y + row * 1.5 * size, name)
            page.write(940, y + row * 1.5 * size, value, right=True)
        else:
            page.write(600, y + row * 1.5 * size, text)
    return y + (max(len(left), len(right)) * 1.5 + 1) * size


Column = tuple[str, bool, Callable[[random.Random], Part]]


def _columns(t: Template, rng: random.Random, w: Words, with_codes: bool) -> list[Column]:
    """Heads, whether they are set to the right, and what fills them; the column of tariff codes among them."""
    money = n.won if t.language == "ko" and rng.random() < 0.6 else n.price
    count: Column = (
        w.quantity,
        True,
        lambda r: f"{r.randint(1, 900)} {r.choice(w.units)}" if r.random() < 0.6 else str(r.randint(1, 9000)),
    )
    end: list[Column] = [count, (w.price, True, money), (w.amount, True, money)]
    if t.kind == "packing":
        end = [
            count,
            (w.weight, True, n.weight),
            (rng.choice(["CBM", "Ctn No"]), True, lambda r: f"{r.uniform(0, 9):.3f}"),
        ]
    middle: list[Column] = []
    if rng.random() < 0.6:
        middle.append((w.article, False, n.article))
    if rng.random() < 0.2:
        middle.append((w.barcode, False, n.barcode))
    elif rng.random() < 0.3:
        middle.append((w.origin, False, lambda r: r.choice(w.countries)))
    if t.place == "column" and with_codes:
        middle.insert(rng.randint(0, len(middle)), (t.label, False, lambda r: ""))
    goods: Column = (w.description, False, lambda r: r.choice(w.goods))
    return (
        [(w.no, False, lambda r: ""), goods, *middle[:2], *end]
        if rng.random() < 0.6
        else [(w.no, False, lambda r: ""), *middle[:1], goods, *middle[1:2], *end]
    )


def _sums(page: Page, rng: random.Random, w: Words, y: float, language: str) -> float:
    money = n.won if language == "ko" else n.price
    for name in (w.tax, w.total):
        page.write(page.width - 380, y, name)
        page.write(page.width - 60, y, rng.choice(["", "USD ", "EUR ", ""]) + money(rng), right=True)
        y += 1.6 * page.size
    return y


def _foot(page: Page, rng: random.Random, w: Words, y: float) -> None:
    texts = [
        f"IBAN {n.iban(rng)}",
        f"{w.account}: {n.account(rng)}",
        rng.choice(w.notes),
        f"{w.container}: {n.container(rng)}",
    ]
    texts += [
        n.odds(rng),
        n.odds(rng),
        f"SAC: {n.service_code(rng)}",
        f"{w.telephone} {n.telephone(rng)}",
        f"{w.weight} {n.weight(rng)}",
    ]
    rng.shuffle(texts)
    for text in texts[: rng.randint(3, 7)]:
        if y > page.height - 3 * page.size:
            break
        page.write(60 + rng.choice([0, 0, 200, 440]), y, text, size=0.9)
        y += 1.6 * page.size


def till_receipt(t: Template, rng: random.Random, w: Words) -> Page:
    """A narrow receipt; each item has a line of its own, its code beside or below it."""
    page = Page(620, 1500, t.face, rng.randint(20, 26))
    size, y = page.size, 40.0
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    for text in (
        rng.choice(w.sellers),
        rng.choice(w.receipt),
        rng.choice(w.streets),
        f"{w.telephone} {n.telephone(rng)}",
        f"{w.business} {n.business(rng)}",
    ):
        page.write(40, y, text)
        y += 1.5 * size
    page.write(40, y, f"{n.day(rng)} {n.odds(rng)[:8]}")
    y += 2.2 * size
    money = n.won if t.language == "ko" else n.price
    for _ in range(rng.randint(1, 7)):
        page.write(40, y, rng.choice(w.goods))
        page.write(580, y, money(rng), right=True)
        y += 1.4 * size
        if with_codes and t.place == "line":
            page.write(
                60,
                y,
                f"{t.label}{rng.choice([' ', ': ', ':'])}",
                t.code(rng, notation),
                rng.choice(["", f"  {rng.randint(1, 9)} x {money(rng)}"]),
                size=0.9,
            )
        elif with_codes and t.place == "none":
            page.write(60, y, t.code(rng, notation), size=0.9)
        else:
            page.write(60, y, rng.choice([n.barcode, n.article])(rng) + f"  x{rng.randint(1, 9)}", size=0.9)
        y += 1.7 * size
    for name in (w.tax, w.total):
        page.write(40, y, name)
        page.write(580, y, money(rng), right=True)
        y += 1.6 * size
    for text in (
        f"{'카드' if t.language == 'ko' else 'Card'} {n.odds(rng)}",
        f"{'승인번호' if t.language == 'ko' else 'Approval'} {n.digits(rng, 8)}",
        f"{n.digits(rng, 10)}",
        w.thanks,
    ):
        page.write(40, y, text)
        y += 1.5 * size
    page.cropped(min(page.height, y + 40))
    return page


def boxed_declaration(t: Template, rng: random.Random, w: Words) -> Page:
    """A form of boxes: a small label at the top of each, its value below; one block of boxes an item."""
    page = Page(1000, 1414, t.face, rng.randint(19, 22))
    size = page.size
    page.write(60, 40, rng.choice(w.customs), size=1.5)
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    y = 60 + 2.2 * size
    head = [(w.declaration, n.document_number), (w.day, n.day), (w.number, n.document_number), (w.business, n.business)]
    head += [
        (w.container, n.container),
        (w.telephone, n.telephone),
        (w.postcode, n.postcode),
        (w.order, n.document_number),
    ]
    y = _boxes(page, y, [(name, make(rng)) for name, make in head], 4)
    for item in range(rng.randint(1, 4)):
        boxes: list[tuple[str, Part]] = [
            (w.no, str(item + 1)),
            (w.description, rng.choice(w.goods)),
            (w.origin, rng.choice(w.countries)),
        ]
        boxes += [
            (w.quantity, str(rng.randint(1, 9000))),
            (w.weight, n.weight(rng)),
            (w.value, n.price(rng)),
            (w.price, n.price(rng)),
        ]
        boxes.insert(rng.randint(1, 6), (t.label, t.code(rng, notation)) if with_codes else (w.article, n.article(rng)))
        y = _boxes(page, y + 0.8 * size, boxes, 4)
    _foot(page, rng, w, y + size)
    return page


def _boxes(page: Page, y: float, boxes: list[tuple[str, Part]], across: int) -> float:
    size, wide = page.size, 880 / across
    for place, (name, value) in enumerate(boxes):
        left, top = 60 + place % across * wide, y + place // across * 3.4 * size
        page.pen.rectangle([left, top, left + wide, top + 3.4 * size], outline=(90, 90, 90))
        page.write(left + 6, top + 0.3 * size, name, size=0.75)
        page.write(left + 10, top + 1.7 * size, value)
    return y + -(-len(boxes) // across) * 3.4 * size


def item_blocks(t: Template, rng: random.Random, w: Words) -> Page:
    """A list of goods, each a block of lines ``name: value``."""
    page = Page(1000, 1414, t.face, rng.randint(20, 23))
    size = page.size
    page.write(60, 50, rng.choice(w.packing if t.kind == "packing" else w.customs), size=1.5)
    y = _parties(page, rng, w, 60 + 2.2 * size)
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    for item in range(rng.randint(1, 3)):
        page.write(60, y, f"{w.no} {item + 1}", size=1.1)
        page.write(180, y, rng.choice(w.goods))
        facts: list[tuple[str, Part]] = [
            (w.quantity, f"{rng.randint(1, 900)} {rng.choice(w.units)}"),
            (w.weight, n.weight(rng)),
            (w.article, n.article(rng)),
        ]
        facts += [(w.amount, n.price(rng)), (w.barcode, n.barcode(rng))]
        if with_codes:
            facts.insert(rng.randint(0, 5), (t.label, t.code(rng, notation)))
        gap = rng.choice([0, 220])
        for row, (name, value) in enumerate(facts):
            line = y + (row + 1) * 1.5 * size
            if gap:
                page.write(90, line, name)
                page.write(90 + max(gap, page.measure(name) + 20), line, value)
            else:
                page.write(90, line, f"{name}: ", value)
        y += (len(facts) + 1.8) * 1.5 * size
    _foot(page, rng, w, y)
    return page


def letter(t: Template, rng: random.Random, w: Words) -> Page:
    """A letter about a classification: codes in running sentences."""
    page = Page(1000, 1300, t.face, rng.randint(20, 23))
    size = page.size
    y = _parties(page, rng, w, 60)
    notation = rng.choice(t.notations)
    first, second, third = (t.code(rng, notation) for _ in range(3))
    korean = t.language == "ko"
    sentences: list[list[Part]] = [
        ["귀사의 문서 " if korean else "We refer to your document ", n.document_number(rng), " (", n.day(rng), ")"],
        [f"{rng.choice(w.goods)}: {t.label} ", first, "에 해당합니다." if korean else "."],
        [f"{t.label}: ", second, ", ", third],
        [
            "수입 금액 " if korean else "The shipment is worth ",
            n.price(rng),
            " USD" if not korean else "달러",
            f", {rng.randint(1000, 9999)}.{rng.randint(10, 99)} kg",
        ],
        [f"{w.account} {n.account(rng)}, IBAN {n.iban(rng)}"],
        [f"{w.telephone} {n.telephone(rng)}"],
    ]
    if rng.random() > t.share:
        del sentences[1:3]
    rng.shuffle(sentences)
    for sentence in sentences:
        page.write(60, y, *sentence)
        y += 1.8 * size
    _foot(page, rng, w, y + size)
    return page


def parcel_label(t: Template, rng: random.Random, w: Words) -> Page:
    """A postal form: short lines, columns for tariff code, origin and value."""
    page = Page(900, 900, t.face, rng.randint(20, 24))
    size, y = page.size, 50.0
    page.write(50, y, rng.choice(w.customs), size=1.2)
    for text in (
        rng.choice(w.sellers),
        rng.choice(w.streets),
        f"{w.postcode} {n.postcode(rng)}",
        f"{w.telephone} {n.telephone(rng)}",
        f"RR {n.digits(rng, 9)} KR",
    ):
        y += 1.6 * size
        page.write(50, y, text)
    y += 2.4 * size
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    heads = [w.description, w.quantity, w.weight, t.label if with_codes else w.article, w.value]
    lefts = [50, 280, 390, 560, 750]
    for left, head in zip(lefts, heads, strict=True):
        page.write(left, y, head, size=0.7)
    for _ in range(rng.randint(1, 4)):
        y += 1.8 * size
        cells: list[Part] = [rng.choice(w.goods), str(rng.randint(1, 20)), n.weight(rng)]
        cells += [t.code(rng, notation) if with_codes else n.article(rng), n.price(rng)]
        for left, cell in zip(lefts, cells, strict=True):
            page.write(left, y, cell, size=0.85)
    for text in (f"{w.number} {n.document_number(rng)}", f"{w.total} {n.price(rng)}", n.odds(rng)):
        y += 2 * size
        page.write(50, y, text)
    return page


def statement(t: Template, rng: random.Random, w: Words) -> Page:
    """An account statement: columns of dates, numbers and amounts, and no tariff code at all."""
    page = Page(1000, 1414, t.face, rng.randint(18, 21))
    size = page.size
    y = _parties(page, rng, w, 50)
    heads = [w.day, w.order, w.number, w.price, w.amount]
    lefts = [60, 230, 450, 640, 800]
    for left, head in zip(lefts, heads, strict=True):
        page.write(left, y, head)
    for _ in range(rng.randint(5, 16)):
        y += 1.7 * size
        for left, make in zip(lefts, (n.day, n.document_number, n.article, n.price, n.price), strict=True):
            page.write(left, y, make(rng))
    _foot(page, rng, w, y + 2 * size)
    return page


def waybill(t: Template, rng: random.Random, w: Words) -> Page:
    """A bill of lading: two blocks of addresses, containers, and goods described in a few lines with their codes."""
    page = Page(1000, 1414, t.face, rng.randint(19, 22))
    size = page.size
    page.write(560, 40, "BILL OF LADING", size=1.5)
    y = _parties(page, rng, w, 60 + 2 * size)
    heads = ["Marks and numbers", "Description of goods", "Gross weight", "Measurement"]
    lefts = [60, 300, 690, 840]
    for left, head in zip(lefts, heads, strict=True):
        page.write(left, y, head, size=0.8)
    y += 1.8 * size
    first: list[list[Part]] = [
        [n.container(rng)],
        [f"{rng.randint(1, 40)} PALLETS"],
        [n.weight(rng)],
        [f"{rng.uniform(1, 60):.3f}"],
    ]
    for left, parts in zip(lefts, first, strict=True):
        page.write(left, y, *parts)
    lines: list[list[Part]] = [
        [rng.choice(w.goods)],
        [f"INVOICE {n.document_number(rng)}"],
        [f"L/C NO. {n.document_number(rng)}"],
    ]
    if rng.random() < t.share:
        notation = rng.choice(t.notations)
        several: list[Part] = [f"{t.label}{rng.choice([': ', ' ', ':'])}", t.code(rng, notation)]
        for _ in range(rng.randint(0, 2)):
            several += [rng.choice([", ", " / ", "; "]), t.code(rng, notation)]
        lines.insert(rng.randint(1, 3), several)
    for parts in lines:
        y += 1.6 * size
        page.write(300, y, *parts)
    for _ in range(rng.randint(1, 3)):
        y += 1.8 * size
        page.write(60, y, n.container(rng))
        page.write(300, y, f"SEAL {n.digits(rng, 7)}")
        page.write(690, y, n.weight(rng))
    _foot(page, rng, w, y + 3 * size)
    return page


def certificate(t: Template, rng: random.Random, w: Words) -> Page:
    """A certificate of origin: columns of items, marks, goods, tariff codes, criteria and invoices with dates."""
    page = Page(1100, 1300, t.face, rng.randint(19, 21))
    size = page.size
    page.write(330, 40, "CERTIFICATE OF ORIGIN", size=1.4)
    page.write(60, 60 + 1.6 * size, f"Reference {n.document_number(rng)}")
    y = _parties(page, rng, w, 60 + 3.4 * size)
    with_codes, notation = rng.random() < t.share, rng.choice(t.notations)
    heads = [
        "Item",
        "Packages",
        "Goods",
        t.label if with_codes else w.article,
        "Criterion",
        "Weight",
        "Invoice and date",
    ]
    lefts = [60, 120, 240, 440, 600, 730, 860]
    page.rule(55, y - 4, 1060, y - 4)
    for left, head in zip(lefts, heads, strict=True):
        page.write(left, y, head, size=0.8)
    y += 2 * size
    page.rule(55, y - 6, 1060, y - 6)
    for item in range(rng.randint(1, 6)):
        code: Part = t.code(rng, notation) if with_codes else n.article(rng)
        cells: list[Part] = [str(item + 1), f"{rng.randint(1, 90)} CTN", rng.choice(w.goods), code]
        cells += [rng.choice(["WO", "PE", "CTH", "RVC 40%"]), n.weight(rng), n.digits(rng, rng.choice([6, 8]))]
        for left, cell in zip(lefts, cells, strict=True):
            page.write(left, y, cell, size=0.9)
        page.write(860, y + 1.3 * size, n.day(rng), size=0.9)
        y += 3 * size
    _foot(page, rng, w, y + size)
    return page


def _t(
    split: str,
    name: str,
    kind: str,
    language: str,
    layout: Callable[[Template, random.Random, Words], Page],
    label: str,
    notations: str,
    **more: object,
) -> Template:
    return Template(name, kind, language, split, layout, label, tuple(notations.split(", ")), **more)  # type: ignore[arg-type]


TEMPLATES: tuple[Template, ...] = (
    _t("train", "invoice-us", "invoice", "en", table_document, "HTS", "us, us parts, hs6 dots"),
    _t("train", "invoice-india", "invoice", "en", table_document, "HSN/SAC", "in, heading, hs6", grid=True),
    _t(
        "train",
        "invoice-inline",
        "invoice",
        "en",
        table_document,
        "HS Code",
        "hs6 dots, hs6, eu, eu bare",
        place="inline",
        face="serif",
    ),
    _t(
        "train",
        "invoice-brackets",
        "invoice",
        "en",
        table_document,
        "",
        "hs6 dots, us, br",
        script="none",
        place="brackets",
    ),
    _t("train", "packing-eu", "packing", "en", table_document, "Commodity code", "eu, eu bare, taric", face="round"),
    _t("train", "packing-blocks", "packing", "en", item_blocks, "H.S. Code", "hs6 dots, hs6, kr dots, jp"),
    _t(
        "train", "receipt-en", "receipt", "en", till_receipt, "HSN", "in, heading", place="line", face="mono", share=0.5
    ),
    _t("train", "customs-en", "customs", "en", boxed_declaration, "Tariff No.", "us, hs6 dots, taric, swiss"),
    _t("train", "invoice-ko", "invoice", "ko", table_document, "HS CODE", "kr, kr bare, hs6 dots, kr dots"),
    _t(
        "train", "invoice-ko-hangul", "invoice", "ko", table_document, "세번", "kr, kr dots", script="hangul", grid=True
    ),
    _t("train", "packing-ko", "packing", "ko", table_document, "HS NO", "hs6 dots, hs6, kr", place="foot"),
    _t("train", "receipt-ko", "receipt", "ko", till_receipt, "HS", "hs6 dots, kr", place="line", share=0.4),
    _t("train", "customs-ko", "customs", "ko", boxed_declaration, "세번부호", "kr, kr dots, kr bare", script="hangul"),
    _t("train", "blocks-ko", "customs", "ko", item_blocks, "HS코드", "kr, hs6 dots, kr dashes", script="hangul"),
    _t(
        "held-out",
        "invoice-proforma",
        "invoice",
        "en",
        table_document,
        "HS code",
        "hs6 dots, hs6, us, kr dots",
        face="round",
    ),
    _t("held-out", "invoice-brazil", "invoice", "en", table_document, "NCM", "br, eu bare", grid=True, face="mono"),
    _t(
        "held-out",
        "invoice-tariff-line",
        "invoice",
        "en",
        table_document,
        "Customs tariff no.",
        "eu, eu bare, taric, hs6 dots",
        place="inline",
    ),
    _t(
        "held-out",
        "packing-foot",
        "packing",
        "en",
        table_document,
        "H.S. No",
        "hs6 dots, kr, jp",
        place="foot",
        face="serif",
    ),
    _t("held-out", "packing-htsus", "packing", "en", table_document, "HTSUS No.", "us, us parts"),
    _t(
        "held-out",
        "receipt-till",
        "receipt",
        "en",
        till_receipt,
        "HSN Code",
        "in, heading, hs6",
        place="line",
        face="gothic",
        share=0.5,
    ),
    _t(
        "held-out",
        "customs-sad",
        "customs",
        "en",
        boxed_declaration,
        "33 Commodity code",
        "eu, eu bare, taric",
        face="serif",
    ),
    _t("held-out", "customs-parcel", "customs", "en", parcel_label, "HS tariff number", "hs6 dots, hs6"),
    _t("held-out", "letter-en", "invoice", "en", letter, "HTS code", "us, hs6 dots, hs6", face="serif"),
    _t(
        "held-out",
        "invoice-unlabelled",
        "invoice",
        "en",
        table_document,
        "",
        "hs6 dots, us",
        script="none",
        place="brackets",
        share=0.5,
    ),
    _t("held-out", "statement", "invoice", "en", statement, "", "hs6", script="none"),
    _t(
        "held-out",
        "invoice-ko-latin",
        "invoice",
        "ko",
        table_document,
        "H.S.CODE",
        "kr, kr bare, kr dots",
        face="round",
        grid=True,
    ),
    _t("held-out", "invoice-ko-inline", "invoice", "ko", table_document, "HSK", "kr, kr dots", place="inline"),
    _t(
        "held-out",
        "packing-ko-hangul",
        "packing",
        "ko",
        table_document,
        "품목번호",
        "kr, kr bare, kr dots",
        script="hangul",
    ),
    _t(
        "held-out",
        "receipt-ko-latin",
        "receipt",
        "ko",
        till_receipt,
        "HS-CODE",
        "hs6 dots, hs6, kr",
        place="line",
        share=0.4,
        face="mono",
    ),
    _t(
        "held-out",
        "customs-ko-export",
        "customs",
        "ko",
        boxed_declaration,
        "품목분류번호",
        "kr, kr dots",
        script="hangul",
    ),
    _t("held-out", "blocks-ko-latin", "packing", "ko", item_blocks, "HS Code No.", "kr, hs6 dots, kr bare"),
    _t("held-out", "letter-ko", "customs", "ko", letter, "HS코드", "kr, hs6 dots", script="hangul"),
    _t(
        "held-out",
        "order-shop",
        "invoice",
        "en",
        table_document,
        "Harmonized Code",
        "hs6, us, hs6 dots",
        face="gothic-bold",
    ),
    _t("held-out", "waybill", "packing", "en", waybill, "HS CODE", "hs6 dots, hs6, eu bare"),
    _t("held-out", "certificate", "customs", "en", certificate, "HS heading", "hs6 dots, heading, hs6", face="serif"),
    _t("held-out", "price-list", "invoice", "en", table_document, "", "hs6", script="none", grid=True, share=0),
    _t(
        "held-out",
        "quotation-ko",
        "invoice",
        "ko",
        table_document,
        "HS 부호",
        "kr dots, kr bare, hs6 dots",
        script="hangul",
    ),
)


FIRST_SEED = {"train": 0, "held-out": 2000}
"""The seed of the first document of each split. Held-out documents of lower seeds were looked at while the rules were
written."""


def corpus(split: str, count: int, first_seed: int | None = None) -> list[tuple[Template, int]]:
    """``count`` documents of a split as templates with seeds, each template as often as the others."""
    templates = [template for template in TEMPLATES if template.split == split]
    first = FIRST_SEED[split] if first_seed is None else first_seed
    return [(templates[place % len(templates)], first + place // len(templates)) for place in range(count)]
