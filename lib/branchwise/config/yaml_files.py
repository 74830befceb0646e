"""YAML files, read strictly: mistakes are told with their place."""

import difflib
from pathlib import Path
from typing import Any

import yaml

from branchwise.errors import UserError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping; YAML's own loader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                continue
            if key in seen:
                mark = key_node.start_mark
                raise yaml.MarkedYAMLError(problem=f"key {key} stands twice", problem_mark=mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises UserError where it does not."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _siblings(path), n=1)
        hint = f"did you mean {path.with_name(near[0])}?" if near else "check the path"
        raise UserError(f"config file {path.absolute()} does not exist", hint) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path.absolute()} is not UTF-8 (byte {error.start})", "mend it") from None
    except OSError as error:
        raise UserError(f"{path.absolute()} cannot be read: {error.strerror}", "check it") from None
    content = parsed(text, str(path.absolute()))
    if not isinstance(content, dict):
        raise UserError(f"{path.absolute()} does not hold a mapping", "write `key: value` lines")
    return content


def parsed(text: str, source: str) -> Any:
    """A YAML value. Raises UserError for what is none, naming `source` and the line."""
    try:
        return yaml.load(text, _StrictLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        if "stands twice" in problem:
            raise UserError(f"{source}{line}: {problem}", "leave one of them") from None
        raise UserError(f"{source}{line} is not valid YAML: {problem}", "mend it") from None


def _siblings(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
