"""ALTO: its structure against the specification, and every place within its page.

``ALTO_XSD=alto-4-4.xsd pytest tests/documents/test_alto.py`` also validates with the schema itself, which the Library
of Congress publishes; the file that it imports, xlink.xsd, must lie beside it.
"""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from imgtool.documents.alto import Alto
from imgtool.types import Box, ImageResult, TextLine, TextResult
from tests.results import answered, any_result, by, failed

etree = pytest.importorskip("lxml.etree")
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
SLANTING: Box = ((100.0, 100.0), (300.4, 50.6), (310.0, 90.0), (109.5, 139.2))

# What the specification of ALTO 4.4 says of the elements that are written, in their order.
STRUCTURE = """
<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.loc.gov/standards/alto/ns-v4#"
  datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <define name="size"><attribute name="WIDTH"><data type="float"/></attribute>
    <attribute name="HEIGHT"><data type="float"/></attribute></define>
  <define name="place"><attribute name="HPOS"><data type="float"/></attribute>
    <attribute name="VPOS"><data type="float"/></attribute><ref name="size"/></define>
  <define name="id"><attribute name="ID"><data type="ID"/></attribute></define>
  <start><element name="alto"><attribute name="SCHEMAVERSION"/>
    <optional><attribute name="schemaLocation" ns="http://www.w3.org/2001/XMLSchema-instance"/></optional>
    <element name="Description">
      <element name="MeasurementUnit"><choice><value>pixel</value><value>mm10</value><value>inch1200</value></choice>
      </element>
      <element name="sourceImageInformation"><element name="fileName"><text/></element></element>
      <element name="Processing"><ref name="id"/>
        <optional><element name="processingStepSettings"><text/></element></optional>
        <element name="processingSoftware"><element name="softwareName"><text/></element>
          <element name="softwareVersion"><text/></element></element></element>
    </element>
    <element name="Layout"><oneOrMore><element name="Page"><ref name="id"/>
      <attribute name="PHYSICAL_IMG_NR"><data type="int"/></attribute><optional><ref name="size"/></optional>
      <optional><element name="PrintSpace"><ref name="place"/><zeroOrMore><element name="TextBlock"><ref name="id"/>
        <ref name="place"/><oneOrMore><element name="TextLine"><ref name="id"/><ref name="place"/>
          <optional><element name="Shape"><element name="Polygon"><attribute name="POINTS"/></element></element>
          </optional>
          <element name="String"><ref name="string"/></element>
          <zeroOrMore><choice><element name="SP"><empty/></element>
            <element name="String"><ref name="string"/></element></choice></zeroOrMore>
        </element></oneOrMore></element></zeroOrMore></element></optional>
    </element></oneOrMore></element>
  </element></start>
  <define name="string"><ref name="id"/><ref name="place"/><attribute name="CONTENT"/><optional><attribute name="WC">
    <data type="float"><param name="minInclusive">0</param><param name="maxInclusive">1</param></data></attribute>
    </optional></define>
</grammar>
"""


@pytest.fixture(scope="module")
def schemas() -> list[Any]:
    found = [etree.RelaxNG(etree.fromstring(STRUCTURE))]
    if named := os.environ.get("ALTO_XSD"):
        found.append(etree.XMLSchema(etree.parse(named)))
    return found


def written(*results: ImageResult) -> Any:
    class Kept(io.StringIO):
        def close(self) -> None:
            pass

    out = Kept(newline="")
    writer = Alto(out, results[0])
    for result in results:
        writer.add(result)
    writer.close()
    return etree.fromstring(out.getvalue().encode())


def page(*lines: TextLine, number: int = 0) -> ImageResult:
    result = answered('scan "<1>".tif', text=TextResult(value=lines, **by("rapidocr")))
    return replace(result, page=number, pages=2)


def test_pages_lines_and_words_have_their_places() -> None:
    lines = (TextLine("MAPLE STREET", 0.987, SLANTING), TextLine("??", 0.2, SLANTING, doubt="no text"))
    root = written(page(*lines), page(number=1))
    assert root.findtext(f".//{ALTO}fileName") == 'scan "<1>".tif'
    first, second = root.iter(ALTO + "Page")
    assert (first.get("WIDTH"), first.get("PHYSICAL_IMG_NR"), second.get("PHYSICAL_IMG_NR")) == ("1000", "1", "2")
    (line,) = first.iter(ALTO + "TextLine")
    assert [line.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == ["100", "50", "210", "90"]
    assert line.find(f".//{ALTO}Polygon").get("POINTS") == "100.0,100.0 300.4,50.6 310.0,90.0 109.5,139.2"
    assert [child.tag.removeprefix(ALTO) for child in line] == ["Shape", "String", "SP", "String"]
    assert [(word.get("CONTENT"), word.get("WC")) for word in line.iter(ALTO + "String")] == [
        ("MAPLE", "0.987"),
        ("STREET", "0.987"),
    ]


def test_it_is_valid(schemas: list[Any]) -> None:
    root = written(page(TextLine("A <b> & c", 0.5, SLANTING), TextLine(" ", 0.5, SLANTING)), replace(failed(), page=1))
    for schema in schemas:
        schema.assertValid(root)
        broken = written(page(TextLine("a", 0.5, SLANTING)))
        next(broken.iter(ALTO + "String")).attrib.pop("CONTENT")
        assert not schema.validate(broken)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(any_result())
def test_any_result_is_valid(schemas: list[Any], result: ImageResult) -> None:
    for schema in schemas:
        schema.assertValid(written(result))
