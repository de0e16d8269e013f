"""One module for each way in which projects, environments and systems name their packages."""
