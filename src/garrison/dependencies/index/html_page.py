"""A project's page of a package index in HTML.

Source: PEP 503, 592, 658, 714 and 792 ("Simple repository API" of the Python Packaging User Guide).
"""

import urllib.parse
from html.parser import HTMLParser

from garrison.dependencies.index.project import Project, ReleaseFile, digest, project_of


def from_html(name: str, address: str, data: bytes) -> Project:
    """Read PEP 503's HTML, which came from `address`."""
    page = _Anchors(address)
    page.feed(data.decode("utf-8", "replace"))
    page.close()
    return project_of(name, page.files, page.status, page.status_reason)


class _Anchors(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__(convert_charrefs=True)
        self.files: list[ReleaseFile] = []
        self.status = "active"
        self.status_reason = ""
        self._base = address

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "base" and given.get("href"):
            self._base = urllib.parse.urljoin(self._base, given["href"])
        elif tag == "meta" and given.get("name") == "pypi:project-status":
            self.status = given.get("content") or "active"
        elif tag == "meta" and given.get("name") == "pypi:project-status-reason":
            self.status_reason = given.get("content", "")
        elif tag == "a" and given.get("href"):
            self._anchor(given)

    def _anchor(self, given: dict[str, str]) -> None:
        try:
            url, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(self._base, given["href"]))
            path = urllib.parse.urlsplit(url).path
        except ValueError:
            return
        kind, _, value = fragment.partition("=")
        name = urllib.parse.unquote(path.rpartition("/")[2])
        if not name:
            return
        self.files.append(
            ReleaseFile(
                name=name,
                url=url,
                sha256=digest(value) if kind == "sha256" else "",
                requires_python=given.get("data-requires-python", ""),
                yanked="data-yanked" in given,
                yanked_reason=given.get("data-yanked", ""),
                metadata=any(given.get(key) not in (None, "false") for key in _METADATA),
            )
        )


_METADATA = ("data-core-metadata", "data-dist-info-metadata")
