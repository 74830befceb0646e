"""What is installed, beside what the project asks for and what it was tested with."""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from branchwise.config import Experiment
from branchwise.config.shipped import ROOT
from branchwise.dependencies.entries import AttentionEntry
from branchwise.doctor.fact import Fact

_SHOWN = ("torch", "transformers", "tokenizers", "gguf")
_MOST_NAMED = 6
FOR = {
    "minilm": "the encoder all-MiniLM-L6-v2, for dependencies by attention and grouping by similarity",
    "cjk": "Chinese, Japanese and Korean labels in figures",
    "real": "models in GGUF files",
    "vllm": "decoder vllm, on a GPU",
    "servers": "servers that the tests start",
    "slurm": "jobs on a SLURM cluster",
    "peers": "other programs beside which `branchwise bench --peers` times the tree decoder",
    "mutation": "`make mutants`",
    "docs": "the site, `make docs`",
    "dev": "the tests and checks",
}
"""Extra of the project -> what it is for."""


def installed(experiment: Experiment) -> Iterator[Fact]:
    """Versions; what is missing or too old; what differs from the lock; and the extras."""
    python = ".".join(map(str, sys.version_info[:3]))
    versions = ", ".join(f"{name} {version_of(name) or 'not installed'}" for name in _SHOWN)
    yield Fact("versions", f"python {python}, {versions}")
    plain, extras = requirements()
    problems = [problem for problem in map(_problem, plain) if problem]
    wanting = f"{len(problems)} are not as pyproject.toml asks: {'; '.join(problems)}"
    yield Fact(
        "packages",
        f"{len(plain) - len(problems)} of {len(plain)} as pyproject.toml asks",
        f"{wanting}; `pip install -r envs/requirements.lock` in an environment of its own"
        if problems
        else "",
        needed=True,
    )
    yield from _locked(ROOT / "envs/requirements.lock")
    needed = _needed_extras(experiment)
    for extra, wanted in extras.items():
        lacking = [one.name for one in wanted if _problem(one)]
        purpose = FOR.get(extra, "")
        found = "installed" if not lacking else f"without {', '.join(lacking)}"
        found = "not installed" if len(lacking) == len(wanted) else found
        problem = (
            f"{needed[extra]} needs it; `pip install 'branchwise[{extra}]'`" if extra in needed else ""
        )
        yield Fact(f"extra {extra}", f"{found}: {purpose}", problem if lacking else "", needed=True)


def version_of(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What the project needs at any rate, and by extra: of pyproject.toml in a repository, else of the
    installed package.
    """
    file = ROOT / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        return _here(project["dependencies"]), {name: _here(texts) for name, texts in extras.items()}
    plain: list[str] = []
    by_extra: dict[str, list[str]] = {}
    for text in requires("branchwise") or []:
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", text)
        target = plain if extra is None else by_extra.setdefault(extra.group(1), [])
        target.append(text.partition(";")[0] if extra else text)
    return _here(plain), {name: _here(texts) for name, texts in by_extra.items()}


def _here(texts: Sequence[str]) -> list[Requirement]:
    """Requirements of this Python and system."""
    found = map(Requirement, texts)
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def _problem(wanted: Requirement) -> str:
    """What is wrong with what is installed of a package; "" if nothing."""
    here = version_of(wanted.name)
    if here is None:
        return f"{wanted.name} is not installed"
    if not wanted.specifier.contains(here, prereleases=True):
        return f"{wanted.name} is {here}, asked for is {wanted.specifier}"
    return ""


def _locked(lock: Path) -> Iterator[Fact]:
    """What differs from the versions that the project is tested with. They may: it is said, no more."""
    if not lock.is_file():
        return
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;#]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    other = differing_versions(pinned)
    named = ", ".join(other[:_MOST_NAMED]) + (", ..." if len(other) > _MOST_NAMED else "")
    found = f"{len(pinned) - len(other)} of {len(pinned)} as in envs/requirements.lock"
    yield Fact("lock", f"{found}; not: {named}" if other else found)


def differing_versions(pinned: Mapping[str, str]) -> list[str]:
    """Packages that are installed in another version than the pinned one, or not at all."""
    found = []
    for name, wanted in pinned.items():
        here = version_of(name)
        # What follows a plus sign says how it was built (torch's +cpu), not what it is.
        if here is None or here.partition("+")[0] != wanted.partition("+")[0]:
            found.append(f"{name} {here or 'not installed'} (lock {wanted})")
    return found


def _needed_extras(experiment: Experiment) -> dict[str, str]:
    """Extras without which the config cannot run -> what of it needs them. What a GGUF file needs is said
    beside its model.
    """
    needed: dict[str, str] = {}
    for name in experiment.decoders:
        if getattr(experiment.catalogues.decoders[name], "kind", "") == "vllm":
            needed["vllm"] = f"decoder {name}"
    for name in experiment.strategies:
        dependencies = experiment.catalogues.strategies[name].dependencies
        entry = experiment.catalogues.dependencies[dependencies] if dependencies else None
        if isinstance(entry, AttentionEntry) and (entry.encoder or experiment.roles.encoder) == "minilm":
            needed["minilm"] = f"strategy {name}"
    return needed
