"""The words of the documents, English and Korean, other ones for training (``train``) than for testing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What a document of one language and split is written with."""

    sellers: tuple[str, ...]
    streets: tuple[str, ...]
    goods: tuple[str, ...]
    invoice: tuple[str, ...]
    packing: tuple[str, ...]
    receipt: tuple[str, ...]
    customs: tuple[str, ...]
    number: str
    day: str
    telephone: str
    fax: str
    order: str
    account: str
    business: str
    postcode: str
    total: str
    tax: str
    thanks: str
    no: str
    description: str
    article: str
    quantity: str
    price: str
    amount: str
    weight: str
    origin: str
    barcode: str
    container: str
    declaration: str
    value: str
    notes: tuple[str, ...]
    units: tuple[str, ...]
    countries: tuple[str, ...]


WORDS: dict[tuple[str, str], Words] = {
    ("en", "train"): Words(
        sellers=("Northgate Trading Ltd", "Bluewater Exports Inc.", "Mehta & Sons Pvt Ltd", "Alpina Werkzeug GmbH"),
        streets=("14 Dock Road", "Plot 22 MIDC", "800 Harbor Blvd", "Industriestr. 9"),
        goods=(
            "Portable computer",
            "Cotton shirt, men",
            "Ball bearing",
            "Ground coffee",
            "Steel bolt M8",
            "LED lamp",
            "Glass jar",
            "Face cream",
            "Rubber gasket",
            "Office chair",
            "Electric drill",
            "Ceramic tile",
            "Paper bag",
            "Toy train",
            "Copper wire",
            "Olive oil",
        ),
        invoice=("COMMERCIAL INVOICE", "INVOICE", "TAX INVOICE"),
        packing=("PACKING LIST", "PACKING SLIP"),
        receipt=("RECEIPT", "CASH RECEIPT"),
        customs=("CUSTOMS DECLARATION", "IMPORT ENTRY"),
        number="Invoice No",
        day="Date",
        telephone="Tel",
        fax="Fax",
        order="P.O. No",
        account="Account No",
        business="VAT No",
        postcode="Postcode",
        total="TOTAL",
        tax="VAT",
        thanks="Thank you for your business",
        no="No",
        description="Description",
        article="Art. No",
        quantity="Qty",
        price="Unit price",
        amount="Amount",
        weight="Net weight",
        origin="Origin",
        barcode="EAN",
        container="Container No",
        declaration="Declaration No",
        value="Customs value",
        notes=(
            "Payment within 30 days.",
            "Goods remain our property until paid.",
            "Please quote the HS code on every document.",
        ),
        units=("pcs", "EA", "kg", "set"),
        countries=("KR", "CN", "DE", "US", "IN", "JP"),
    ),
    ("en", "held-out"): Words(
        sellers=(
            "Seoul Marine Supply Co.",
            "Kwik Parts LLC",
            "Fratelli Bruno Srl",
            "Sakura Instruments KK",
            "Santos Comercial Ltda",
        ),
        streets=("77 Mapo-daero", "Unit 5, Trade Park", "Via Roma 118", "3-2-1 Minato"),
        goods=(
            "Water pump",
            "Ladies' jacket",
            "Wall clock",
            "Frozen shrimp",
            "Printed circuit",
            "Bicycle tyre",
            "Wooden frame",
            "Plastic film roll",
            "Camera lens",
            "Shampoo 500 ml",
            "Socket wrench",
            "Green tea",
            "Sofa bed",
            "Insulated cable",
        ),
        invoice=("PROFORMA INVOICE", "INVOICE / FACTURA", "EXPORT INVOICE"),
        packing=("DETAILED PACKING LIST", "DELIVERY NOTE"),
        receipt=("SALES RECEIPT", "TILL RECEIPT"),
        customs=("SINGLE ADMINISTRATIVE DOCUMENT", "ENTRY SUMMARY", "CUSTOMS DECLARATION CN 23"),
        number="Document number",
        day="Issued on",
        telephone="Phone",
        fax="Telefax",
        order="Your order",
        account="A/C",
        business="Tax ID",
        postcode="ZIP",
        total="Grand total",
        tax="GST",
        thanks="We appreciate your order",
        no="#",
        description="Goods",
        article="Part number",
        quantity="Quantity",
        price="Rate",
        amount="Line total",
        weight="Gross mass (kg)",
        origin="Country of origin",
        barcode="Barcode",
        container="Seal",
        declaration="MRN",
        value="Statistical value",
        notes=(
            "Bank charges are for the buyer.",
            "No returns after 14 days.",
            "Tariff classification is the importer's duty.",
        ),
        units=("pc", "PCS", "ctn", "pairs"),
        countries=("Korea", "Italy", "Brazil", "Viet Nam", "Japan"),
    ),
    ("ko", "train"): Words(
        sellers=("한빛무역(주)", "대성상사", "(주)새롬전자", "Hanbit Trading Co., Ltd."),
        streets=("서울시 마포구 월드컵로 24", "부산시 중구 해관로 8", "인천시 연수구 송도대로 32"),
        goods=(
            "노트북 컴퓨터",
            "면 셔츠",
            "볼 베어링",
            "원두 커피",
            "강철 볼트",
            "전등",
            "유리병",
            "화장품 크림",
            "의자",
            "전동 드릴",
            "타일",
            "구리선",
        ),
        invoice=("상업송장 COMMERCIAL INVOICE", "거래명세서", "세금계산서"),
        packing=("포장명세서 PACKING LIST", "포장명세서"),
        receipt=("영수증", "현금영수증"),
        customs=("수입신고서", "수입신고필증"),
        number="송장번호",
        day="작성일",
        telephone="전화",
        fax="팩스",
        order="주문번호",
        account="계좌번호",
        business="사업자등록번호",
        postcode="우편번호",
        total="합계",
        tax="부가세",
        thanks="감사합니다",
        no="번호",
        description="품명",
        article="품번",
        quantity="수량",
        price="단가",
        amount="금액",
        weight="중량",
        origin="원산지",
        barcode="바코드",
        container="컨테이너",
        declaration="신고번호",
        value="과세가격",
        notes=("30일 안에 지급하여 주십시오.", "모든 서류에 세번을 적어 주십시오."),
        units=("개", "EA", "kg", "박스"),
        countries=("대한민국", "중국", "독일", "미국"),
    ),
    ("ko", "held-out"): Words(
        sellers=("해오름통상", "동해수산(주)", "미래정밀", "Sunrise Global Inc."),
        streets=("대전시 유성구 대학로 99", "울산시 남구 산업로 512", "경기도 성남시 분당구 판교로 7"),
        goods=(
            "물 펌프",
            "여성용 재킷",
            "벽시계",
            "냉동 새우",
            "인쇄 회로",
            "자전거 타이어",
            "나무 액자",
            "카메라 렌즈",
            "녹차",
            "소파",
            "절연 전선",
        ),
        invoice=("송품장 INVOICE", "견적서", "납품서"),
        packing=("포장내역서 PACKING LIST", "납품 포장 목록"),
        receipt=("간이영수증", "구매 영수증"),
        customs=("수출신고필증(수출이행)", "관세 납부 고지 내역"),
        number="문서번호",
        day="발행일자",
        telephone="연락처",
        fax="FAX",
        order="발주번호",
        account="입금계좌",
        business="법인등록번호",
        postcode="우)",
        total="총액",
        tax="세액",
        thanks="이용해 주셔서 고맙습니다",
        no="란",
        description="거래품명",
        article="제품코드",
        quantity="물량",
        price="판매단가",
        amount="공급가액",
        weight="순중량",
        origin="제조국",
        barcode="상품바코드",
        container="봉인번호",
        declaration="접수번호",
        value="신고금액",
        notes=("반품은 14일 이내에 가능합니다.", "통관 문의는 담당자에게 하십시오."),
        units=("대", "세트", "KG", "상자"),
        countries=("한국", "이탈리아", "베트남", "일본"),
    ),
}
