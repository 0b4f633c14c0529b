"""Labels, the words that say what a number is: a tariff code or something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a label stands for: a code, perhaps a code, an amount (of money, goods or weight), or something else."""

    CODE = "code"
    MAYBE = "maybe"
    AMOUNT = "amount"
    OTHER = "other"


@dataclass(frozen=True)
class Label:
    """A label in a line: characters ``start`` to ``end``, including a colon or the like after it."""

    line: int
    start: int
    end: int
    kind: Kind
    text: str

    @property
    def of_code(self) -> bool:
        """Whether it may be the label of a tariff code."""
        return self.kind in (Kind.CODE, Kind.MAYBE)


# Recognisers confuse these capital letters with digits: H5 C0DE.
_S, _O, _I = "[S5]", "[O0Q]", "[I1L|]"
_END = "(?![A-Za-z])"
_NUMBER = (
    rf"(?:C\s?{_O}\s?DE?(?:{_S})?|N{_O}S?{_END}|NUMBERS?|NUM{_END}|NR{_END}|#|HEADINGS?|ITEM|CLASSIFICATION|LINE|CLASS)"
)
_HS = rf"H\.?\s?{_S}\.?"

_CODE = [
    # Longer alternatives come first.
    rf"{_HS}\s?[-_/]?\s?(?:TARIFF\s?)?{_NUMBER}(?:\s?{_NUMBER})?",
    rf"{_HS}\s?[-_/]?\s?(?:코드|부호|번호|품목번호|编码|編碼|コード|番号)",
    r"HSK(?:\s?(?:NO|CODE|코드|번호|부호))?",
    rf"HARMON{_I}[SZ]ED\s(?:SYSTEM|TARIFF|COMMODITY)(?:\s(?:SCHEDULE|DESCRIPTION))?(?:\s?{_NUMBER})?",
    rf"HARMON{_I}[SZ]ED\s{_NUMBER}",
    rf"HT{_S}(?:US)?(?:A)?(?:\s?{_NUMBER})?",
    rf"H{_S}N\s?(?:/\s?{_S}AC)?(?:\s?{_NUMBER})?",
    rf"NCM(?:\s?/\s?SH)?(?:\s?{_NUMBER})?",
    rf"TARIC(?:\s?{_NUMBER})?",
    rf"(?:CN|COMBINED NOMENCLATURE)\s{_NUMBER}",
    rf"COMM{_O}D{_I}TY\s?{_NUMBER}",
    rf"(?:CUSTOMS?\s)?TAR{_I}FF\s?{_NUMBER}(?:\s?{_NUMBER})?",
    rf"CUSTOMS\s{_NUMBER}",
    r"SCHEDULE\sB(?:\s?(?:NO|NUMBER|CODE|#))?",
    r"(?:ZOLL|WAREN)(?:TARIF)?NUMMER",
    r"(?:CODE|N[O°º]?)\sSH",
    r"PARTIDA\sARANCELARIA|FRACCI[OÓ]N\sARANCELARIA|POSITION\sTARIFAIRE",
    r"G\.?T\.?[Iİ]\.?P",
    r"세\s?번\s?(?:부\s?호|번\s?호)|세번|품\s?목\s?분\s?류\s?(?:번\s?호|부\s?호|코드)?|관세율표\s?번호",
    r"税则号列|稅則號列|税号|稅號|税番|税則番号|海关编码|海關編碼|統計品目番号",
]
_MAYBE = [
    # HS코드 and HS부호, as read by a recogniser without Hangul.
    rf"{_HS}[0-9]?[^\x00-\x7f\s]{{1,2}}",
    _HS,
    *(r"TARIFF", r"품\s?목\s?번\s?호|품목코드", r"商品编码|商品編碼|商品コード"),
]
_AMOUNT = [
    r"QTY|QUANTITY|PCS|UNITS?|PRICE|AMOUNT|AMT|VALUE|TOTAL|SUB-?TOTAL|RATE|DISC(?:OUNT)?|CHANGE|CASH|BALANCE",
    r"FREIGHT|INSURANCE|DUTY|DUTIES|TAX|VAT|GST|CGST|SGST|IGST|NET|SUM|PAID|FOB|CIF|EXW|USD|EUR|GBP|KRW|INR|BRL|JPY|CNY",
    r"WEIGHT|WT|GROSS|G\.?W|N\.?W|KGS?|MEAS(?:UREMENT)?|CBM|DIM(?:ENSION)?S?|VOLUME|SIZE|CARTONS?|CTNS?|PALLETS?|PACKAGES?",
    r"수량|단가|금액|합계|소계|총액|공급가액|세액|부가세|과세|면세|관세|운임|보험료|거스름돈|받은금액|가격",
    r"중량|순중량|총중량|용적|포장|부피|단위",
]
_OTHER = [
    r"TEL(?:EPHONE)?|PHONE|FAX|MOBILE|MOB|CELL|CONTACT|HOTLINE",
    r"DATED?|TIME|DUE|ETD|ETA|ISSUED|EXPIRY|EXP|MFG|VALID",
    r"INVOICE|INV|ORDER|P\.?\s?O\.?|REF(?:ERENCE)?S?|QUOTE|QUOTATION|PROFORMA|CONTRACT|L/?C|TXN|TRANSACTION",
    r"A/?C|ACCOUNT|ACCT|IBAN|BIC|SWIFT|SORT\sCODE|BANK|ROUTING|CARD|APPROVAL|AUTH",
    r"ART(?:ICLE)?|ITEM|SKU|PART|P/N|MODEL|SERIAL|S/N|LOT|BATCH|STYLE|PRODUCT|MATERIAL|CAT(?:ALOGUE)?|DESIGN|ASIN",
    r"EAN|UPC|GTIN|BARCODE|ISBN|IMEI|MAC|UDI",
    r"ZIP|POST(?:AL)?(?:\s?CODE)?|PIN|P\.?O\.?\sBOX",
    r"CONTAINER|SEAL|B/?L|AWB|HAWB|MAWB|VESSEL|VOYAGE|VOY|FLIGHT|TRACKING|WAYBILL|CONSIGNMENT|SHIPMENT|BOOKING|MARKS",
    r"VAT\sNO|REG(?:ISTRATION|D|N)?|BUSINESS|COMPANY|CUSTOMER|CLIENT|MEMBER|SUPPLIER|VENDOR|USER|ID|EORI|GSTIN|PAN|CIN|FSSAI|MRN",
    rf"DECLARATION|PERMIT|LICEN[CS]E|ENTRY|CERT(?:IFICATE)?|PAGE|{_S}AC|POS|TILL|TERMINAL|TABLE|DESK|STORE|RECEIPT|CASHIER|VERSION|REV",
    r"전화(?:번호)?|팩스|휴대폰|핸드폰|연락처|대표번호|고객센터|문의",
    r"일자|날짜|일시|기한|발행일|작성일|거래일|유효기간|제조일",
    r"송장(?:번호)?|주문(?:번호)?|계약(?:번호)?|참조|견적|전표|영수증|거래번호",
    r"계좌(?:번호)?|예금주|카드(?:번호)?|승인(?:번호)?|은행",
    r"사업자(?:등록)?(?:번호)?|등록번호|법인|회원|고객(?:번호)?|통관고유부호|납세",
    r"품번|모델(?:명)?|규격|제품코드|제품번호|상품코드|상품번호|자재|로트|시리얼|일련번호|관리번호|바코드",
    r"우편번호|주소",
    r"컨테이너|봉인|선하증권|운송장|선명|항차|신고번호|접수번호|허가|면허|포스|매장",
]


def _group(kind: Kind, patterns: list[str]) -> str:
    return f"(?P<{kind.value}>{'|'.join(patterns)})"


# A Latin letter beside a label makes it a part of a word, as in FAXING. Hangul may follow: particles take no space.
_ANY = re.compile(
    rf"(?<![A-Za-z])(?:{_group(Kind.CODE, _CODE)}|{_group(Kind.MAYBE, _MAYBE)}|{_group(Kind.AMOUNT, _AMOUNT)}"
    rf"|{_group(Kind.OTHER, _OTHER)}){_END}",
    re.IGNORECASE,
)
# What may stand between a label and its number: HS CODE (8 digits) No.: #
_AFTER = re.compile(
    r"(?:[\s.:]*[(\[][^()\[\]0-9]{0,24}(?:[0-9]{1,2}[^()\[\]0-9]{0,16})?[)\]])?"
    r"(?:[\s.]*(?:NO|NR|NUMBER|CODE|번호|코드|부호|IS|ARE)\b)?[\s.:,=#>*\-\]|]*",
    re.IGNORECASE,
)


# A unit or currency after a number belongs to that number and is no label of the next one.
_AMOUNT_BEFORE = re.compile(r"[0-9][.,]?\s?$")


def find_labels(line: int, text: str) -> Iterator[Label]:
    """The labels in one folded line, from left to right."""
    for found in _ANY.finditer(text):
        kind = Kind(str(found.lastgroup))
        if kind is Kind.MAYBE and not _stands_alone(text, found):
            continue
        if kind in (Kind.AMOUNT, Kind.OTHER) and _AMOUNT_BEFORE.search(text[max(0, found.start() - 3) : found.start()]):
            continue
        after = _AFTER.match(text, found.end())
        end = after.end() if after else found.end()
        yield Label(line, found.start(), end, kind, found[0].strip())


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    """Whether a short label ends its line or is followed by a number."""
    rest = text[found.end() : found.end() + 20].lstrip(" .:#-")
    return not rest or rest[0].isdigit()
