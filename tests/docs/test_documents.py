"""The documents hold together: links lead somewhere, examples run, nothing public is missing."""

import importlib
import re
from pathlib import Path

import pytest
import ui2c
from support.clips import make_clip
from support.paths import ROOT
from ui2c.video import Description, open_sink

DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in (".", "docs", "docs/results", "python/ui2c/models")
    for path in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PUBLIC_MODULES = ("ui2c.video", "ui2c.segments", "ui2c.errors")


def prose(path: Path) -> str:
    """A document without its code: no link is meant there."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda found: "`" + "x" * (len(found[0]) - 2) + "`", text)


def anchors(path: Path) -> set[str]:
    """What links may name after "#": headings in the way of Git hosts."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text(), flags=re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def examples(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(prose(ROOT / document)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        assert target.exists(), f"{document}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document}: {link}"


def test_every_document_is_linked_from_the_readme_or_a_page_that_is() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
        waiting += [(page.parent / link).resolve() for link in links if link and ":" not in link]
    pages = {ROOT / path for path in DOCUMENTS if path.parts[0] == "docs"}
    assert pages - reached == set()


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = open_sink("in.mp4", Description(32, 32))
    for frame in make_clip(32, 32, 16):
        sink.write(frame)
    sink.close()
    found = examples(ROOT / document)
    assert found
    names: dict[str, object] = {"__name__": "example"}
    for number, text in enumerate(found, 1):
        exec(compile(text, f"{document}, example {number}", "exec"), names)


def test_the_api_names_everything_public() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for module in ("ui2c", *PUBLIC_MODULES):
        for name in importlib.import_module(module).__all__:
            assert re.search(rf"`{name}\b", text), f"{module}.{name}"


@pytest.mark.parametrize("name", ["Encoder", "Decoder", "Reader", "YUV420", "Statistics"])
def test_the_api_names_every_member(name: str) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for member in vars(getattr(ui2c, name)):
        if not member.startswith("_"):
            assert re.search(rf"[`.]{member}\b", text), f"{name}.{member}"


def test_the_architecture_has_a_room_for_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {f"{path.parent.name}/" for path in (ROOT / "python/ui2c").glob("*/__init__.py")}
    core = {
        f"rust/core/src/{path.parent.name}/" for path in (ROOT / "rust/core/src").glob("*/mod.rs")
    }
    assert packages and core
    assert {room for room in packages | core if f"`{room}`" not in text} == set()
