"""What a module of this library imports, directly or not: what its results depend on."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "branchwise"
LIBRARY = Path(__file__).parents[1]


def closure(roots: Iterable[Path]) -> list[Path]:
    """The files of `roots` and of every module of the library that they import, wherever in their text;
    the files that lie beside these and are no modules (C code, templates) are among them. In order.

    Packages that a module's import runs through (their `__init__`) count, and of a file outside of the
    library the modules beside it. What is found by its name at
    run time (strategies, decoders, data sets) does not: whoever names one gives its file as a root.
    """
    found: dict[Path, None] = {}
    left = [path.resolve() for path in roots]
    while left:
        path = left.pop()
        if path not in found:
            found[path] = None
            left += _imported(path)
    folders = {path.parent for path in found if path.is_relative_to(LIBRARY)}
    beside = {other for folder in folders for other in _beside(folder)}
    return sorted({*found, *beside})


@cache
def _beside(folder: Path) -> tuple[Path, ...]:
    """Files of a folder, and of its templates, that are no modules."""
    places = (folder, folder / "templates")
    files = (file for place in places if place.is_dir() for file in place.iterdir())
    kept = (file for file in files if file.is_file() and file.suffix not in (".py", ".pyc", ".so"))
    return tuple(file for file in kept if not file.name.startswith("."))


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    """Files of the library that one file imports."""
    found: list[Path] = []
    if path.suffix != ".py":
        return ()
    is_foreign = not path.is_relative_to(LIBRARY)
    for node in _run(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found += [file for name in names for file in _files(name)]
        if is_foreign:
            beside = (path.parent / f"{name.partition('.')[0]}.py" for name in names)
            found += [file for file in beside if file.is_file()]
    return tuple(dict.fromkeys(found))


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement of a module, those that only a type checker reads left out."""
    left = [tree]
    while left:
        for node in ast.iter_child_nodes(left.pop()):
            if isinstance(node, ast.expr):
                # No import is part of an expression.
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            yield node
            left.append(node)


def _files(dotted: str) -> list[Path]:
    """The files that an import of a dotted name runs: its packages' and its own. The library's first
    `__init__` is none of them: it does nothing but offer names.
    """
    parts = dotted.split(".")
    if parts[0] != PACKAGE:
        return []
    found = []
    place = LIBRARY
    for part in parts[1:]:
        if place != LIBRARY and (place / "__init__.py").is_file():
            found.append(place / "__init__.py")
        if (place / f"{part}.py").is_file():
            return [*found, place / f"{part}.py"]
        place /= part
    if place != LIBRARY and (place / "__init__.py").is_file():
        found.append(place / "__init__.py")
    return found
