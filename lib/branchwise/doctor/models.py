"""Which models can be used on this machine, and what to write or install for those that cannot."""

from typing import NamedTuple

from branchwise.decoding.models.entry import ModelEntry
from branchwise.errors import UserError

_TIMEOUT_S = 5.0


class Finding(NamedTuple):
    """What was found out about a model: where it comes from, whether it is here, whether its revision is
    pinned, and why it cannot be used (empty where it can).
    """

    model: str
    source: str
    here: str
    revision: str
    problem: str


class Hub:
    """The Hugging Face hub, asked about models; never again once it could not be reached.

    `sizes`, of the models that it was asked about: id -> dtype (F32, BF16) -> how many numbers of it.
    """

    def __init__(self) -> None:
        self.unreachable = ""
        self.sizes: dict[str, dict[str, int]] = {}

    def check(self) -> str:
        """Why the hub cannot be reached; "" where it can."""
        from huggingface_hub import constants, get_session

        from branchwise.decoding.models.weights import reason_of

        if not self.unreachable:
            try:
                get_session().head(constants.ENDPOINT, timeout=_TIMEOUT_S)
            except Exception as error:  # what a library of networks raises is not settled
                self.unreachable = reason_of(error)
        return self.unreachable

    def commit(self, entry: ModelEntry) -> str:
        """The commit that an entry stands for. Raises UserError where the hub has no such model, or
        cannot be reached.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        from branchwise.decoding.models.weights import reason_of

        if not self.unreachable:
            try:
                info = HfApi().model_info(str(entry.hub), revision=entry.revision, timeout=_TIMEOUT_S)
                weights = getattr(info, "safetensors", None)
                self.sizes[str(entry.hub)] = dict(getattr(weights, "parameters", None) or {})
                return str(info.sha)
            except HfHubHTTPError as error:
                raise UserError(
                    f"the hub gives no {entry.hub} (revision {entry.revision or 'newest'}): "
                    f"{reason_of(error)}",
                    "correct `hub:` and `revision:`, or accept its licence there and set HF_TOKEN",
                ) from None
            except Exception as error:  # what a library of networks raises is not settled
                self.unreachable = reason_of(error)
        raise UserError(
            f"not on this machine, and the hub cannot be reached ({self.unreachable})",
            "go online once, or give `path:` to a local folder",
        )


def examine(name: str, entry: ModelEntry, hub: Hub) -> Finding:
    """What there is to know of a model; nothing is downloaded, converted or loaded."""
    if not entry.is_here:
        return Finding(name, f"served as {entry.served}", "on a server", "-", "")
    if entry.hub is not None:
        return _of_hub(name, entry, hub)
    try:
        here = _here(entry)
    except UserError as error:
        return Finding(name, _source(entry), "not here", "-", str(error))
    return Finding(name, _source(entry), here, "-", "")


def _of_hub(name: str, entry: ModelEntry, hub: Hub) -> Finding:
    from branchwise.decoding.models.places import cached_commit

    pinned = "pinned" if entry.revision else "not pinned"
    try:
        commit = cached_commit(entry)
        here = _here(entry) if commit else "not here, is downloaded at first use"
        commit = commit or hub.commit(entry)
    except UserError as error:
        return Finding(name, _source(entry), "not here", pinned, str(error))
    if entry.revision is None:
        pinned += f", write `revision: {commit}`"
    return Finding(name, _source(entry), here, pinned, "")


def _source(entry: ModelEntry) -> str:
    if entry.path is not None:
        return f"folder {entry.path}"
    if entry.gguf is None:
        return f"hub {entry.hub}"
    if entry.package is not None:
        from branchwise.decoding.models.gguf import version_of

        installed = version_of(entry.package)
        return f"{entry.gguf} in package {entry.package} ({installed or 'not installed'})"
    return f"{entry.gguf} of hub {entry.hub}" if entry.hub else f"file {entry.gguf}"


def _here(entry: ModelEntry) -> str:
    """In which form a model is on this machine. Raises UserError where it cannot be used as it is."""
    from branchwise.decoding.models.places import place_of

    if entry.gguf is None:
        folder = place_of(entry, online=False).folder
        if not any(folder.glob("*.safetensors")):
            raise UserError(f"{folder} has no safetensors weights", "download it whole")
        return "here"
    from branchwise.decoding.models.converting import check_loadable, folder_for, what_is_wrong
    from branchwise.decoding.models.gguf import check_file, check_whole, located, read_header

    check_file(entry)
    file = located(entry, online=False)
    header = read_header(file)
    check_whole(header, file)
    check_loadable(header, file)
    ready = what_is_wrong(folder_for(file)) is None
    return "here, converted" if ready else "here, is converted at first use"
