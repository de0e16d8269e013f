"""What the upper layers of an image hide of the lower ones.

Layers are read from the top down, so that when a file is met, all that hides it is known.

Source: OCI image specification 1.1, `layer.md`, "Whiteouts" and "Change Types".
"""

_OPAQUE = ".wh..wh..opq"
_MARK = ".wh."
_META = ".wh..wh."


class Covers:
    """Paths that layers above replace or delete, with the number of the layer that does."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._files: dict[str, int] = {}
        self._folders: dict[str, int] = {}
        self._deleted: dict[str, int] = {}
        self._emptied: dict[str, int] = {}
        self._above: dict[str, str] = {}
        self._layer = 0
        self._links: dict[str, int] = {}
        """Symbolic links: what was written below one went where it led, so that replacing it hides none of that."""
        self._own_files: set[str] = set()
        self._own_links: set[str] = set()
        self._own_folders: set[str] = set()
        self._own_deleted: set[str] = set()
        self._own_emptied: set[str] = set()

    def enter(self, layer: int) -> None:
        """Begin with a layer, by its number from the bottom."""
        self._layer = layer
        self._above.clear()

    def leave(self) -> None:
        """The layer is done: what it holds hides what lies below."""
        number = self._layer
        for own, covers in (
            (self._own_files, self._files),
            (self._own_links, self._links),
            (self._own_folders, self._folders),
            (self._own_deleted, self._deleted),
            (self._own_emptied, self._emptied),
        ):
            for path in own:
                covers.setdefault(path, number)
            own.clear()

    def whiteout(self, folder: str, name: str) -> bool:
        """Take note of a whiteout. `False` where the name is that of none."""
        if not name.startswith(_MARK):
            return False
        if name == _OPAQUE:
            self._own_emptied.add(folder)
        elif not name.startswith(_META):
            target = name[len(_MARK) :]
            self._own_deleted.add(f"{folder}/{target}" if folder else target)
        return True

    def file(self, path: str, *, link: bool = False) -> bool:
        """Take note of what is no folder; `False` where the layer has it already."""
        if self.holds(path):
            return False
        (self._own_links if link else self._own_files).add(path)
        return True

    def holds(self, path: str) -> bool:
        """Whether this layer has had a file or a link of that path so far."""
        return path in self._own_files or path in self._own_links

    def folder(self, path: str) -> None:
        self._own_folders.add(path)

    def hiding(self, path: str) -> str:
        """How the layers above hide a file of this layer, in words; empty where it is seen."""
        if path in self._deleted:
            return self._told(self._deleted[path], "deletes")
        for covers in (self._files, self._links, self._folders):
            if path in covers:
                return self._told(covers[path], "replaces")
        return self._hidden_folder(path.rpartition("/")[0])

    def _hidden_folder(self, folder: str) -> str:
        """How a folder is hidden with all that is in it."""
        unknown: list[str] = []
        found = self._above.get(folder)
        while found is None:
            unknown.append(folder)
            found = self._hidden_itself(folder)
            if not found and folder:
                folder = folder.rpartition("/")[0]
                found = self._above.get(folder)
        self._above.update(dict.fromkeys(unknown, found))
        return found

    def _hidden_itself(self, folder: str) -> str:
        if folder in self._emptied:
            return self._told(self._emptied[folder], "empties the folder of")
        if folder in self._deleted:
            return self._told(self._deleted[folder], "deletes")
        return self._told(self._files[folder], "replaces") if folder in self._files else ""

    def _told(self, layer: int, verb: str) -> str:
        return f"layer {layer} of {self._total} {verb} it"
