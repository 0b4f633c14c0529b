"""Short names of the chapters of the Harmonized System in English and Korean: our own words, not the legal text."""

from __future__ import annotations

_NAMES = """
01|live animals|살아 있는 동물
02|meat|고기
03|fish and seafood|물고기와 해산물
04|dairy, eggs, honey|낙농품, 알, 꿀
05|other animal products|그 밖의 동물성 생산품
06|live plants and flowers|산 나무와 꽃
07|vegetables|채소
08|fruit and nuts|과일과 견과류
09|coffee, tea, spices|커피, 차, 향신료
10|cereals|곡물
11|flour, malt, starch|곡물가루, 맥아, 전분
12|oil seeds and other seeds|기름용 씨앗과 그 밖의 씨앗
13|gums, resins, plant extracts|검, 수지, 식물 추출물
14|plaiting materials and other plant products|엮기용 재료와 그 밖의 식물성 생산품
15|fats and oils|지방과 기름
16|prepared meat and fish|조제한 고기와 물고기
17|sugar and sweets|설탕과 과자
18|cocoa and chocolate|코코아와 초콜릿
19|bread, pasta, cereal products|빵, 면, 곡물 조제품
20|prepared vegetables and fruit|조제한 채소와 과일
21|other prepared food|그 밖의 조제 식료품
22|drinks, spirits, vinegar|음료, 주류, 식초
23|animal feed and food waste|사료와 식품 부산물
24|tobacco and nicotine products|담배와 니코틴 제품
25|salt, stone, cement|소금, 석재, 시멘트
26|ores, slag, ash|광석, 슬래그, 회
27|mineral fuels and oils|광물성 연료와 기름
28|inorganic chemicals|무기화학품
29|organic chemicals|유기화학품
30|medicines|의약품
31|fertilisers|비료
32|dyes, paints, inks|염료, 페인트, 잉크
33|perfume and cosmetics|향수와 화장품
34|soap, cleaners, waxes|비누, 세제, 왁스
35|proteins, glues, enzymes|단백질, 접착제, 효소
36|explosives, fireworks, matches|화약, 폭죽, 성냥
37|photographic goods|사진용 재료
38|other chemical products|그 밖의 화학제품
39|plastics|플라스틱
40|rubber|고무
41|hides and leather|원피와 가죽
42|leather goods and bags|가죽제품과 가방
43|furskins|모피
44|wood|목재
45|cork|코르크
46|basketware|짚과 바구니 세공품
47|wood pulp and waste paper|펄프와 폐지
48|paper and cardboard|종이와 판지
49|books and printed matter|책과 인쇄물
50|silk|견
51|wool and animal hair|양모와 동물 털
52|cotton|면
53|other vegetable fibres|그 밖의 식물성 섬유
54|man-made filaments|인조 필라멘트
55|man-made staple fibres|인조 스테이플 섬유
56|wadding, felt, ropes|솜, 펠트, 로프
57|carpets|양탄자
58|special fabrics, lace|특수 직물, 레이스
59|coated textiles|도포한 직물
60|knitted fabrics|편물
61|knitted clothes|편물 의류
62|clothes, not knitted|편물이 아닌 의류
63|other textile articles|그 밖의 섬유제품
64|footwear|신발
65|headgear|모자
66|umbrellas and sticks|우산과 지팡이
67|feathers, artificial flowers, wigs|깃털, 조화, 가발
68|articles of stone or cement|석재와 시멘트 제품
69|ceramics|도자 제품
70|glass|유리
71|gems, precious metals, jewellery|보석, 귀금속, 장신구
72|iron and steel|철강
73|articles of iron or steel|철강 제품
74|copper|구리
75|nickel|니켈
76|aluminium|알루미늄
78|lead|납
79|zinc|아연
80|tin|주석
81|other base metals|그 밖의 비금속
82|tools and cutlery|공구와 칼붙이
83|other articles of base metal|그 밖의 비금속 제품
84|machinery and computers|기계와 컴퓨터
85|electrical and electronic goods|전기와 전자 제품
86|railway equipment|철도 차량과 설비
87|road vehicles|차량
88|aircraft and spacecraft|항공기와 우주선
89|ships and boats|선박
90|optical, measuring, medical instruments|광학, 측정, 의료 기기
91|clocks and watches|시계
92|musical instruments|악기
93|arms and ammunition|무기와 탄약
94|furniture, lamps, prefabricated buildings|가구, 조명, 조립식 건물
95|toys, games, sports goods|완구, 게임, 운동용품
96|other manufactured articles|그 밖의 잡품
97|art and antiques|예술품과 골동품
98|national provisions|각국이 정한 분류
99|national provisions|각국이 정한 분류
"""

CHAPTERS: dict[str, tuple[str, str]] = {
    number: (english, korean) for number, english, korean in (line.split("|") for line in _NAMES.split("\n") if line)
}
"""English and Korean name by the two digits of the chapter. 77 is reserved; 98 and 99 are each country's own."""
