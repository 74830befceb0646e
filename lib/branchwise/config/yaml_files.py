"""YAML files, read strictly: mistakes are told with their place."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from branchwise.errors import UserError

try:
    # In half the time, of what every command does first: it reads all catalogues.
    from yaml import CSafeLoader as _Loader
except ImportError:  # built without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_MOST_VALUES = 100_000
"""Values that a file may hold, those that stand behind `*name` counted each time: a few lines of aliases
of aliases would fill the memory.
"""

_MOST_LEVELS = 100
"""How deeply values may be nested: libyaml recurses, and a deep file would end the process."""


class _StrictLoader(_Loader):
    """Refuses a key that stands twice in one mapping; YAML's own loader takes the last. A scalar that is
    not what it looks like (`2001-99-99`) is an error with its place.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as error:
            # Of a date that there is not, `!!int a`, a number of more digits than Python reads.
            what = f"{str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)  # which says that it is none
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                continue
            if key in seen:
                mark = key_node.start_mark
                raise yaml.MarkedYAMLError(
                    problem=f"key {str(key)[:200]} stands twice", problem_mark=mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str = "config file") -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises UserError where it does not; `what` is what it calls the
    file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _siblings(path), n=1)
        hint = f"did you mean {path.with_name(near[0])}?" if near else "check the path"
        raise UserError(f"{what} {path.absolute()} does not exist", hint) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path.absolute()} is not UTF-8 (byte {error.start})", "mend it") from None
    except OSError as error:
        raise UserError(f"{path.absolute()} cannot be read: {error.strerror}", "check it") from None
    content = parsed(text, str(path.absolute()))
    if not isinstance(content, dict):
        raise UserError(f"{path.absolute()} does not hold a mapping", "write `key: value` lines")
    return content


def parsed(text: str, source: str) -> Any:
    """A YAML value. Raises UserError for what is none, naming `source` and the line, and for what holds
    itself, is nested too deeply or unfolds to more values than memory should hold.
    """
    loader = None
    try:
        _check_depth(text)
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except (yaml.YAMLError, UnicodeEncodeError) as error:  # half of a surrogate pair is no UTF-8
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        if "stands twice" in problem:
            raise UserError(f"{source}{line}: {problem}", "leave one of them") from None
        if "nesting depth" in problem:  # newer readers of YAML see it themselves
            raise _too_deep(source) from None
        raise UserError(f"{source}{line} is not valid YAML: {problem}", "mend it") from None
    except RecursionError:
        raise _too_deep(source) from None
    finally:
        if loader is not None:
            loader.dispose()


def _too_deep(source: str) -> UserError:
    return UserError(f"{source} is nested too deeply", "write it flatter")


def _check_depth(text: str) -> None:
    """Raises RecursionError for what is nested too deeply."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_LEVELS:
            raise RecursionError


def _check_size(node: yaml.Node) -> None:
    """Raises MarkedYAMLError for a value that holds itself or that is too large once it is unfolded."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        known = sizes.setdefault(id(node), -1)
        if known is None:
            raise yaml.MarkedYAMLError(problem="a value holds itself", problem_mark=node.start_mark)
        if known >= 0:
            return known
        sizes[id(node)] = None  # being counted
        inside = (
            node.value
            if isinstance(node, yaml.SequenceNode)
            else [n for pair in node.value for n in pair]
        )
        number = 1 + sum(size(inner) for inner in inside)
        if number > _MOST_VALUES:
            problem = f"it holds more than {_MOST_VALUES:,} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        sizes[id(node)] = number
        return number

    size(node)


def _siblings(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
