"""What package indexes know: which releases there are, since when, and which were taken back."""

from garrison.dependencies.index.client import Index
from garrison.dependencies.index.project import Project, Release, ReleaseFile

__all__ = ["Index", "Project", "Release", "ReleaseFile"]
