"""OCI layouts that are directories: the index is the subject, and the blobs lie beside it.

Source: OCI image specification 1.1, `image-layout.md`.
"""

from garrison.dependencies.images.places import LAYOUT
from garrison.sources.source import Context, Extracted, Source


def sniff(source: Source) -> bool:
    """Opened as one."""
    return LAYOUT in source.beside


def extract(source: Source, context: Context) -> Extracted:
    """The images in the layout, and what a container of each would have."""
    from garrison.dependencies.images.archive import Archive

    return Archive(source.beside, source, context).extract()
