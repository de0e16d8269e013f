"""What the tests of manifests share."""

from pathlib import Path


def made(files: dict[str, bytes], folder: Path) -> Path:
    """A directory with these files, by path below it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
