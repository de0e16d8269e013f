"""`garrison`: finds the command and runs it; the command's module is imported only then."""

import importlib
import os
import sys
from typing import NoReturn

from garrison.cli import exits

COMMANDS = {
    "scan": "examine models, packages, images and hosts, and say whether policy lets them through",
    "bom": "write a bill of materials: models, data sets, packages and files",
    "db": "keep a database of advisories about packages, and say how old it is",
    "host": "record what a host says of itself, for a scan there or elsewhere",
    "fix": "raise what manifests ask for to versions without known vulnerabilities",
    "attack": "attack a model before others do, and say how it stands up",
    "card": "show a robustness card, hold it against bounds, or compare it with another",
    "guard": "put a guard in front of model servers",
    "serve": "verify a model, load it safely and serve it behind a guard",
    "disarm": "rebuild a model as safetensors, without whatever it could do",
    "sign": "sign a model, so that whatever is changed in it can be told",
    "verify": "verify that a model is as somebody who is trusted signed it",
    "attest": "say what is known of a model, signed, and verify what was said",
    "gate": "decide whether a model passes, from policy over what others signed about it",
    "seal": "encrypt a file or a directory for those who may open it, in the age format",
    "open": "decrypt what was sealed, whole and unaltered or not at all",
    "key": "make keys to sign and to seal with",
    "detect": "fit, calibrate and try detectors of adversarial inputs",
    "audit": "verify and read a guard's audit log",
    "rules": "list the rules",
    "explain": "say what a rule means, what an attacker does and how to fix it",
    "schema": "print the JSON schema of the report",
    "completion": "print a completion script for a shell",
}
"""Each is a module of this package, with `configure(parser)` and `run(arguments) -> int`."""

_HELP = """usage: garrison [--help] [--version] COMMAND ...

Says what is wrong with models, packages, images and hosts before anyone runs them.

commands:
{commands}

`garrison COMMAND --help` tells more about one of them.
Exit codes: 0 passed, 1 denied by policy, 2 wrong usage, 3 garrison itself failed.
"""


def run() -> NoReturn:
    """The console script."""
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, AttributeError):  # the reader has gone, or there never was one
        pass
    os._exit(code)  # without the interpreter's own tidying up, which takes longer than many a scan


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code; never raises for what went wrong in it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:<12}{words}" for name, words in COMMANDS.items())
        print(_HELP.format(commands=commands), end="", file=sys.stdout if arguments else sys.stderr)
        return exits.PASSED if arguments else exits.USAGE
    if arguments[0] in ("-V", "--version"):
        from garrison import __version__

        print(f"garrison {__version__}")
        return exits.PASSED
    return _command(arguments[0], arguments[1:])


def _command(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        return _complain(f"no {kind} named {name!r}{_suggestion(name)}; `garrison --help` lists the commands")
    from garrison.core.errors import GarrisonError, UsageError

    debug = "--debug" in arguments
    try:
        module = importlib.import_module(f"garrison.cli.{name}")
        from garrison.cli.arguments import Parser

        parser = Parser(prog=f"garrison {name}", description=module.__doc__)
        module.configure(parser)
        code: int = module.run(parser.parse_args(arguments))
        return code
    except UsageError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _complain("interrupted")
        return exits.INTERRUPTED
    except SystemExit as stopped:  # argparse, after --help
        return stopped.code if isinstance(stopped.code, int) else exits.PASSED
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
            return exits.FAILED
        said = str(error) if isinstance(error, GarrisonError) else f"{type(error).__name__}: {error}"
        _complain(f"garrison itself failed: {said} (--debug shows where)")
        return exits.FAILED


def _complain(message: str) -> int:
    from garrison.reporting.text import printable

    print(f"garrison: {printable(message)}", file=sys.stderr)
    return exits.USAGE


def _suggestion(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, 1)
    return f", did you mean {close[0]!r}?" if close else ""
