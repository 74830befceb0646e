"""Finds a strategy: a module of this folder, or a function in a file of the user's own.

Everything that can be wrong with one is told here, when the config is read: strategies import no torch.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import ValidationError

from branchwise.errors import UserError
from branchwise.records import Record
from branchwise.strategies.base import Strategy

_ROOM = Path(__file__).parent
_NOT_STRATEGIES = {"__init__", "base", "entry", "loading", "outline_writing", "wordings"}


def load(module: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy that `module` names (see `StrategyEntry.module`), its options bound.

    Raises UserError where there is no such module or function, where the function is no async generator
    of two arguments (three, if its module has `Options`), and where options are wrong.
    """
    found, name = _module(module)
    function = getattr(found, name, None)
    if function is None:
        raise UserError(
            f"strategy module {_place(module)} has no function {name}",
            f"define `async def {name}(group, desk)` in it",
        )
    _check_function(function, name, module)
    model = options_model(module)
    if model is None:
        if options:
            raise UserError(
                f"strategy {module} takes no options, but is given {', '.join(options)}",
                "leave them out, or state them in its module as `class Options(Record)`",
            )
        return function
    return partial(function, options=_validated(model, options or {}, module))


def options_model(module: str) -> type[Record] | None:
    """The `Options` that a strategy's module states; None where it takes none."""
    found, _ = _module(module)
    model = getattr(found, "Options", None)
    if model is not None and not (isinstance(model, type) and issubclass(model, Record)):
        raise UserError(
            f"Options in {_place(module)} is no Record",
            "write `class Options(Record)`, with Record from branchwise.records",
        )
    return model


Flag = Literal["DRAWS", "HINTS", "OWN_FORM"]
"""What a strategy's module may state by `<flag> = True`. DRAWS: it asks the same more than once, for
answers that differ. HINTS: its prompts say a data set's hint (`PromptStyle.hint`). OWN_FORM: what it
generates has a form of its own, beside which a decoder can hold it to no other."""


def states(module: str, flag: Flag) -> bool:
    """Whether a strategy's module states a flag."""
    found, _ = _module(module)
    return bool(getattr(found, flag, False))


def names() -> list[str]:
    """Strategies of this folder."""
    return sorted(p.stem for p in _ROOM.glob("*.py") if p.stem not in _NOT_STRATEGIES)


def source_of(module: str) -> Path:
    """The file of a strategy."""
    file, _ = split(module)
    return file if file is not None else _ROOM / f"{module}.py"


def split(module: str) -> tuple[Path | None, str]:
    """The file that `module` names (None for one of this folder) and its function."""
    path, colon, name = module.rpartition(":")
    if not colon or not path.endswith(".py"):
        path, name = module, "strategy"
    return (Path(path).expanduser(), name) if path.endswith(".py") else (None, "strategy")


def _module(module: str) -> tuple[ModuleType, str]:
    file, name = split(module)
    if file is not None:
        return _from_file(file), name
    if module in _NOT_STRATEGIES or not (_ROOM / f"{module}.py").is_file():
        raise UserError(
            f"there is no strategy module {module}",
            f"known: {', '.join(names())}; a file of your own is given with its ending, as my.py",
        )
    return importlib.import_module(f"branchwise.strategies.{module}"), name


@cache
def _from_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise UserError(f"strategy file {file.absolute()} does not exist", "check the path")
    name = f"_branchwise_own_{file.stem}_{abs(hash(file.absolute()))}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Modules beside it may be imported, as where it is run by itself.
    sys.path.insert(0, str(file.absolute().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file is the user's, and what it raises is not settled
        raise UserError(
            f"strategy file {file.absolute()} cannot be imported: {type(error).__name__}: {error}",
            "mend the file",
        ) from error
    finally:
        sys.path.remove(str(file.absolute().parent))
    return module


def _check_function(function: Any, name: str, module: str) -> None:
    """Raises UserError for what is no async generator of the right arguments."""
    where = f"{name} in {_place(module)}"
    if not inspect.isasyncgenfunction(function):
        how = "returns its answers" if inspect.iscoroutinefunction(function) else "is no coroutine"
        raise UserError(
            f"{where} {how}", f"write `async def {name}(group, desk)` and `yield` each answer"
        )
    wanted = 3 if options_model(module) else 2
    given = inspect.signature(function).parameters
    parameters = list(given)
    by_place = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in given.values())
    if len(parameters) != wanted or not by_place or (wanted == 3 and parameters[2] != "options"):
        arguments = "group, desk, options" if wanted == 3 else "group, desk"
        more = "" if wanted == 3 else "; options are stated in its module as `class Options(Record)`"
        raise UserError(
            f"{where} takes {inspect.signature(function)}",
            f"write `async def {name}({arguments})`{more}",
        )


def _validated(model: type[Record], options: Mapping[str, Any], module: str) -> Record:
    try:
        return model.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise UserError(f"strategy {module} has no option {key}", f"it has: {known}") from None
        raise UserError(f"option {key} of strategy {module}: {first['msg']}", "mend it") from None


def _place(module: str) -> str:
    return str(source_of(module).absolute())
