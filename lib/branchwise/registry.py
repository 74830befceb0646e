"""Types that a config can name, found by lying in a folder: one module each, nothing to sign up."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypeVar, get_args

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def types_in(package: str, path: Iterable[str], base: type[M], tag: str) -> dict[str, type[M]]:
    """The subclasses of `base` in the modules of a package whose field `tag` is a `Literal` of one name,
    by that name. Names that begin with "_" are nobody's.
    """
    found: dict[str, type[M]] = {}
    for info in pkgutil.iter_modules(path):
        module = import_module(f"{package}.{info.name}")
        for value in vars(module).values():
            is_one = isinstance(value, type) and issubclass(value, base) and tag in value.model_fields
            if is_one and not value.__name__.startswith("_"):
                (name,) = get_args(value.model_fields[tag].annotation)
                found[name] = value
    return dict(sorted(found.items()))
