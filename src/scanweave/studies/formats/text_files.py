"""Read text and XML from outside within budgets: nothing is expanded, followed or guessed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import defusedxml
from defusedxml.ElementTree import DefusedXMLParser

from scanweave.errors import ScanweaveError
from scanweave.files import plain_size

MAX_TEXT_BYTES = 2**20
"""Largest text or XML file of one image or study [bytes]; a report of 10,000 words takes 70,000."""

MAX_TABLE_BYTES = 2**28
"""Largest table of boxes or reports [bytes]."""

MAX_XML_DEPTH = 64
"""Elements within elements, at most; annotations and reports have less than ten."""

UTF_8 = "utf-8-sig"


def check_bytes(path: Path, most: int) -> None:
    """Refuse what is no plain file, or larger than `most` bytes, before it is read.

    Raises:
        ScanweaveError: It is.
    """
    size = plain_size(path)
    if size > most:
        raise ScanweaveError(
            path, f"{size / 2**20:.1f} MiB, over the budget of {most / 2**20:.0f} MiB", "Divide it, or check what it is"
        )


def read_bytes(path: Path, most: int = MAX_TEXT_BYTES) -> bytes:
    """Return the bytes of a file of at most `most` bytes.

    Raises:
        ScanweaveError: It is absent, larger, or cannot be read.
    """
    check_bytes(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ScanweaveError(path, f"cannot be read ({error.strerror})", "Check the path") from error


def read_text(path: Path, encoding: str = UTF_8, most: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a file; a byte order mark of UTF-8 or UTF-16 is understood.

    Raises:
        ScanweaveError: It is absent, too large, no text, or in another encoding than the one named.
    """
    raw = read_bytes(path, most)
    coding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding
    try:
        text = raw.decode(coding)
    except LookupError as error:
        raise ScanweaveError(path, f"the encoding '{encoding}' is unknown", "Name one such as cp1252") from error
    except UnicodeDecodeError as error:
        raise ScanweaveError(
            path, f"byte {error.start} is not {coding.removesuffix('-sig')}", "Name its encoding, such as cp1252"
        ) from error
    if "\0" in text:
        raise ScanweaveError(path, "holds zero bytes, so it is no text", "Give a text file")
    return text


def parse_xml(where: str | Path, raw: bytes) -> ElementTree.Element:
    """Return the root of an XML document; document types and entities are refused, not expanded.

    Raises:
        ScanweaveError: It is not well-formed, declares a document type, or is nested more than `MAX_XML_DEPTH` deep.
    """
    parser = DefusedXMLParser(target=_ShallowBuilder(where), forbid_dtd=True)
    try:
        parser.feed(raw)
        return parser.close()
    except defusedxml.DefusedXmlException as error:
        raise ScanweaveError(
            where, "declares a document type or entities, which are not expanded", "Remove the DOCTYPE from it"
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ScanweaveError(where, f"not well-formed XML ({error})", "Copy it again from its source") from error


class _ShallowBuilder(ElementTree.TreeBuilder):
    """Build a tree of at most `MAX_XML_DEPTH` levels."""

    def __init__(self, where: str | Path) -> None:
        super().__init__()
        self.where = where
        self.depth = 0

    def start(self, tag: Any, attrs: Any, /) -> ElementTree.Element:
        self.depth += 1
        if self.depth > MAX_XML_DEPTH:
            raise ScanweaveError(self.where, f"XML nested more than {MAX_XML_DEPTH} deep", "Check where it came from")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)
