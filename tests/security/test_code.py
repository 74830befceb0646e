"""What the library never does: run what it reads, open a shell, or load code from a model's folder."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LIBRARY = ROOT / "lib/branchwise"
FILES = sorted(LIBRARY.rglob("*.py"))

CALLS = {
    **dict.fromkeys(("eval", "exec", "__import__"), "runs a text as code"),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput"), "opens a shell"),
    **dict.fromkeys(("torch.load", "numpy.load", "np.load", "pd.read_pickle"), "may unpickle"),
    **dict.fromkeys(("yaml.load", "yaml.unsafe_load", "yaml.full_load"), "makes any object"),
    **dict.fromkeys(("torch.hub.load", "torch.jit.load"), "runs what it loads"),
    **dict.fromkeys(("tempfile.mktemp", "shutil.unpack_archive"), "can be led elsewhere"),
}
"""Calls that are made nowhere, and what is wrong with them."""

MODULES = frozenset(
    {"pickle", "cPickle", "marshal", "shelve", "joblib", "dill", "cloudpickle", "commands"}
)
"""Modules that make objects of whatever they read."""

LOADS_FILES = {
    # The path is the user's own, in a config that the user wrote: a strategy of one's own is code.
    "strategies/loading.py": 1,
}
"""Files that execute a file as a module, and how often: each with its reason."""

CODE_AND_WEIGHTS = frozenset({"AutoModel", "AutoModelForCausalLM"})
CODE = frozenset({"AutoTokenizer", "AutoConfig", "AutoProcessor"}) | CODE_AND_WEIGHTS


def _named(node: ast.AST) -> str:
    """What is called, with dots."""
    if isinstance(node, ast.Attribute):
        return f"{_named(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _is(keyword: ast.keyword, value: object) -> bool:
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is value


def faults(source: str) -> Iterator[str]:
    """What a file does that it should not, with the line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.partition(".")[0] in MODULES and not getattr(node, "level", 0):
                    yield f"line {line}: imports {name}"
        if not isinstance(node, ast.Call):
            continue
        called = _named(node.func)
        given = {keyword.arg: keyword for keyword in node.keywords}
        if called in CALLS:
            yield f"line {line}: {called} {CALLS[called]}"
        if called.endswith(("exec_module", "load_module", "run_path")):
            yield f"line {line}: executes a file"
        if called.endswith("extractall") or (called.endswith(".extract") and "filter" not in given):
            yield f"line {line}: {called} without a filter"
        if "shell" in given and not _is(given["shell"], False):
            yield f"line {line}: {called} with a shell"
        if "verify" in given and not _is(given["verify"], True):
            yield f"line {line}: {called} without certificates"
        if "allow_pickle" in given and not _is(given["allow_pickle"], False):
            yield f"line {line}: {called} allows pickles"
        if "trust_remote_code" in given and not _is(given["trust_remote_code"], False):
            yield f"line {line}: {called} trusts remote code"
        owner, _, method = called.rpartition(".")
        if method == "from_pretrained" and owner in CODE:
            if "trust_remote_code" not in given:
                # Left out, transformers asks on the terminal whether it may.
                yield f"line {line}: {called} does not refuse remote code"
            if owner in CODE_AND_WEIGHTS and "gguf_file" not in given and "use_safetensors" not in given:
                yield f"line {line}: {called} takes weights that are a pickle"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_the_library_runs_nothing_that_it_reads(file: Path) -> None:
    name = str(file.relative_to(LIBRARY))
    found = list(faults(file.read_text(encoding="utf-8")))
    executing = [fault for fault in found if fault.endswith("executes a file")]
    assert len(executing) == LOADS_FILES.get(name, 0), executing
    assert [fault for fault in found if fault not in executing] == []


@pytest.mark.parametrize(
    "text",
    [
        *("eval('1')", "exec(text)", "os.system('id')", "import pickle", "from pickle import loads"),
        *(
            "import torch\ntorch.load(path)",
            "yaml.load(text, Loader)",
            "np.load(path)",
            "import dill as d",
        ),
        *("subprocess.run(x, shell=True)", "subprocess.run(x, shell=given)", "get(url, verify=False)"),
        *("AutoTokenizer.from_pretrained(x)", "AutoConfig.from_pretrained(x, trust_remote_code=True)"),
        *(
            "AutoModelForCausalLM.from_pretrained(x, trust_remote_code=False)",
            "LLM(trust_remote_code=given)",
        ),
        *(
            "tar.extractall(x)",
            "tar.extract(x)",
            "spec.loader.exec_module(m)",
            "np.load(x, allow_pickle=True)",
        ),
    ],
)
def test_each_of_these_would_be_found(text: str) -> None:
    assert list(faults(text))


@pytest.mark.parametrize(
    "text",
    [
        *("model.eval()", "re.compile(x)", "yaml.safe_load(x)", "tar.extract(m, x, filter='data')"),
        *("subprocess.run(['a'])", "AutoTokenizer.from_pretrained(x, trust_remote_code=False)"),
        "AutoModel.from_pretrained(x, trust_remote_code=False, use_safetensors=True)",
    ],
)
def test_these_would_not(text: str) -> None:
    assert not list(faults(text))


def test_rules_run_commands_and_no_code_of_their_own() -> None:
    """Of the workflow, too: every rule is a command whose placeholders are quoted or trusted."""
    rules = [*(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    assert len(rules) > 10
    for path in rules:
        text = path.read_text(encoding="utf-8")
        assert not any(
            word in text for word in ("pickle", "yaml.load(", "eval(", "os.system", "shell=True")
        ), path
