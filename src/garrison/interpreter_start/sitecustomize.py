"""Protects a Python that a protected one started, before it imports anything of its program.

The interpreter imports `sitecustomize` by itself, and this folder stands first in PYTHONPATH. The one that it hides is
imported first, as it would have been. A Python that cannot be protected does not go on.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _import_the_hidden_one() -> None:
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]
    own = sys.modules.pop(__name__)
    try:
        __import__(__name__)
    except ModuleNotFoundError as error:
        if error.name != __name__:
            sys.stderr.write(f"Error in {__name__}: {error}\n")
    except Exception as error:
        sys.stderr.write(f"Error in {__name__}: {type(error).__name__}: {error}\n")
    sys.modules.setdefault(__name__, own)


def _protect() -> None:
    try:
        try:
            from garrison.protect import protect_as_told
        except ModuleNotFoundError:  # another environment of the same Python
            sys.path.append(os.path.abspath(os.path.join(_HERE, os.pardir, os.pardir)))
            from garrison.protect import protect_as_told
        protect_as_told()
    except BaseException as error:
        sys.stderr.write(f"garrison: this Python cannot be protected, so it does not start: {error}\n")
        sys.stderr.flush()
        os._exit(3)


_import_the_hidden_one()
_protect()
