"""Run the tutorials and keep what they print: `make notebooks`."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parent.parent / "tutorials"


def main() -> None:
    """Each notebook is run from its first cell, in its own folder, and written back."""
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(TUTORIALS)}}
        )
        client.execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when it ran: another value each time
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main()
