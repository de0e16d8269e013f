"""Manifests of models: which files a model has, and the digest of each, as OpenSSF Model Signing 1.0 counts them.

Source: https://github.com/ossf/model-signing-spec, spec/v1.0.md. What it leaves open is decided here:

1. A model is a regular file, or a directory with all regular files below it; one without any is refused.
2. A file's name is its path below the model, with `/`; a model that is one file calls it `.`, as model-signing does.
   Names that are no UTF-8 or hold a backslash, which other systems take for `/`, are refused.
3. Names and bytes count. Modes, owners, times, extended attributes and empty directories do not.
4. What is ignored is named by its exact path below the model, a directory with all that is in it.
5. Symbolic links are refused; where they are allowed, a link counts as what it leads to, which must lie in the model.
6. Sockets, pipes and devices are refused, and what cannot be read is.
7. All is read as it was when the model was listed; a file, or the list of files, that changes
   before the end is refused.
8. Under shards an empty file has the one shard `NAME:0:0`; model-signing leaves such files out, so that nobody would
   miss or notice them.
"""

from garrison.provenance.hashing.comparison import Difference, compare
from garrison.provenance.hashing.engine import digest
from garrison.provenance.hashing.manifest import DEFAULT_SERIALIZATION, Entry, Manifest, Serialization

__all__ = ["DEFAULT_SERIALIZATION", "Difference", "Entry", "Manifest", "Serialization", "compare", "digest"]
