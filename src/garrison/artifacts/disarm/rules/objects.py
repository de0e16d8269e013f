"""Objects as copyreg makes them.

Source: `Lib/copyreg.py`.
"""

from garrison.artifacts.disarm.unpickling import UNKNOWN, Unpickling
from garrison.artifacts.disarm.values import Reference, Value


def reconstructed(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_reconstructor(class, base, state)`, what protocols 0 and 1 make objects with."""
    match arguments:
        case (Reference() as kind, _, state):
            made = unpickling.instance(kind, ())
            if made is not UNKNOWN:
                return made
            return unpickling.act(f"object of {kind.whole}", *(() if state is None else (state,)))
    return UNKNOWN


def new_object(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    if not arguments or not isinstance(arguments[0], Reference):
        return UNKNOWN
    made = unpickling.instance(arguments[0], arguments[1:])
    return unpickling.act(f"object of {arguments[0].whole}", *arguments[1:]) if made is UNKNOWN else made
