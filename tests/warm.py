"""Python with the packages loaded: most of what a small job takes is starting it and importing torch.

A server imports what `branchwise` and `snakemake` need, but nothing of this project, and forks for each
command that is sent to it. In its folder lie `python` and `snakemake`, which send theirs and end as the
fork ends; where they are killed, so is the fork. What is about dying processes takes the real ones.

python -m tests.warm FOLDER      until its standard input ends
"""

import array
import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

HAS_FORKS = hasattr(os, "pidfd_open")
"""Whether a server can wait for its forks here."""

_ROOT = Path(__file__).parents[1]
SOCKET = "socket"
PACKAGES = (
    *("torch", "transformers.modeling_utils", "transformers.models.qwen3.modeling_qwen3"),
    *("llguidance.hf", "pandas", "scipy.stats", "matplotlib.pyplot", "seaborn", "networkx", "jinja2"),
    *("typer", "rich.console", "rich.progress", "pydantic", "yaml", "safetensors.torch", "peft"),
    *("snakemake.cli", "snakemake.workflow", "snakemake.api"),
)
_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
words, name = sys.argv[1:], os.path.basename(sys.argv[0])
if name == "python":
    if words[:1] != ["-m"] or words[1].partition(".")[0] != "branchwise":
        os.execv({python!r}, [{python!r}, *words])
    name, words = words[1], words[2:]
told = json.dumps([name, words, os.getcwd(), dict(os.environ)]).encode()
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
server.sendall(len(told).to_bytes(4, "big") + told)
sys.exit(int.from_bytes(server.recv(1) or b"\\xff", "big"))
"""


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """A server for as long as this lasts; the folder of `python` and `snakemake`."""
    for name in ("python", "snakemake"):
        text = _CLIENT.format(python=sys.executable, socket=str(folder / SOCKET))
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    words = [sys.executable, "-m", "tests.warm", str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == b"ready\n", "the server has not come up"
            yield folder
        finally:
            process.stdin.close()


def main(folder: Path) -> None:
    """Serve until the standard input ends."""
    for name in PACKAGES:
        import_module(name)
    assert "branchwise" not in sys.modules, "what is tested is each copy's own"
    # Forks that collect garbage need not look through all that is loaded, nor copy its pages.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        print("ready", flush=True)
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    _begin(listener, selector)
                elif isinstance(key.fileobj, socket.socket):
                    # Nothing is ever sent again: whoever asked is gone.
                    selector.unregister(key.fileobj)
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)
                else:
                    _end(key.fd, *key.data, selector)


def _begin(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    """Fork for a command."""
    client, _ = listener.accept()
    files = array.array("i")
    _, given, _, _ = client.recvmsg(1, socket.CMSG_SPACE(3 * files.itemsize))
    files.frombytes(given[0][2])
    size = int.from_bytes(client.recv(4, socket.MSG_WAITALL), "big")
    told = json.loads(client.recv(size, socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        selector.close()
        listener.close()
        client.close()
        _be(files, *told)
    for file in files:
        os.close(file)
    selector.register(client, selectors.EVENT_READ, pid)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, client))


def _end(file: int, pid: int, client: socket.socket, selector: selectors.BaseSelector) -> None:
    """Tell whoever asked how the fork has ended."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    selector.unregister(file)
    os.close(file)
    with suppress(KeyError):
        selector.unregister(client)
    with suppress(BrokenPipeError):
        client.sendall(bytes([code if code >= 0 else 128 - code]))
    client.close()


def _be(
    files: array.array, module: str, words: list[str], folder: str, variables: dict[str, str]
) -> None:
    """What `python -m MODULE WORDS...` would be, in this process; it does not come back."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    # The server's own took theirs for files that can be sought, say.
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace")
    os.chdir(folder)
    own = {str(_ROOT), "", *os.environ.get("PYTHONPATH", "").split(":")}
    installed = [path for path in sys.path if path not in own]
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = [folder, *filter(None, variables.get("PYTHONPATH", "").split(":")), *installed]
    sys.argv[:] = [module, *words]
    tempfile.tempdir = None
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
