"""The site has the repository's layout, so that a link that leads somewhere here leads there, too.

MkDocs knows the files of `docs` alone. Pages that lie elsewhere (README, the configuration, results) are
added, each at its path, and so is every file that a page links to. A folder that is linked to is its
README, and a notebook a page.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "config/README.md",
    "docs/**/*.md",
    "resources/*/README.md",
    "resources/models/*/README.md",
)
NOTEBOOKS = "docs/notebooks/*.ipynb"
STYLE = ROOT / "docs/site.css"
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
"""A link of Markdown that leads to a file."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """In place of the files of `docs`: all pages, and what they link to, at their paths."""
    for file in [file for file in files if _is_inside(file, config.docs_dir)]:
        files.remove(file)
    pages = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
    for path in pages:
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))
    for path in sorted(ROOT.glob(NOTEBOOKS)):
        text = as_markdown(path.read_text(encoding="utf-8"))
        files.append(File.generated(config, _uri(path.with_suffix(".md")), content=text))
    linked = {path for page in pages for path in _linked(page)}
    for path in sorted({STYLE, *linked} - set(pages)):
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to folders and notebooks lead to the pages that stand for them."""
    folder = (ROOT / page.file.src_uri).parent

    def led(link: re.Match[str]) -> str:
        start, target, anchor = link[1], link[2], link[3] or ""
        if (folder / target / "README.md").is_file():
            target = f"{target.rstrip('/')}/README.md"
        return f"{start}{target.removesuffix('.ipynb')}{'.md' * target.endswith('.ipynb')}{anchor}"

    return _LINK.sub(led, markdown)


def as_markdown(notebook: str) -> str:
    """A notebook's cells, code and what it printed in fences."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = "".join("".join(output.get("text", ())) for output in cell["outputs"]).rstrip()
        if printed:
            parts.append(f"```text\n{printed}\n```")
    return "\n\n".join(parts) + "\n"


def _linked(page: Path) -> Iterator[Path]:
    """The files of the repository that a page links to, pages and notebooks left out."""
    for _, target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if path.is_file() and path.is_relative_to(ROOT) and path.suffix != ".ipynb":
            yield path


def _is_inside(file: File, folder: str) -> bool:
    return file.abs_src_path is not None and Path(file.abs_src_path).is_relative_to(folder)


def _uri(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
