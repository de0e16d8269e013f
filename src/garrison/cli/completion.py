"""Print a completion script; load it with `source <(garrison completion bash)` or the like."""

import argparse
import importlib
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser
from garrison.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATHS = ("PATH", "FILE")


def configure(parser: Parser) -> None:
    parser.add_argument("shell", choices=tuple(_SHELLS), metavar="SHELL", help="bash, zsh or fish")


def run(arguments: argparse.Namespace) -> int:
    terminal.write(_SHELLS[arguments.shell](), as_is=True)
    return exits.PASSED


def _actions(command: str) -> "Iterator[argparse.Action]":
    parser = Parser(prog=command)
    importlib.import_module(f"garrison.cli.{command}").configure(parser)
    return iter(parser._actions)


def _words(action: argparse.Action) -> list[str]:
    """The values that an argument can have, where they can be listed."""
    if action.metavar == "RULE":
        from garrison.core.registry import rules

        return sorted(rules())
    return [str(choice) for choice in action.choices or ()]


def _options(command: str) -> "list[argparse.Action]":
    return [action for action in _actions(command) if action.option_strings]


def _positional(command: str) -> "argparse.Action | None":
    return next((action for action in _actions(command) if not action.option_strings), None)


def _bash() -> str:
    cases = []
    for command in COMMANDS:
        options = _options(command)
        values = ""
        for action in options:
            if action.nargs != 0:
                words = " ".join(_words(action))
                reply = f'COMPREPLY=($(compgen -W "{words}" -- "$word"))' if words else "compopt -o default"
                values += f"        {action.option_strings[-1]}) {reply}; return ;;\n"
        positional = _positional(command)
        words = " ".join(_words(positional)) if positional else ""
        names = " ".join(name for action in options for name in action.option_strings)
        cases.append(
            f"    {command})\n"
            f'      case "$previous" in\n{values}      esac\n'
            f'      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "{names}" -- "$word")); return; fi\n'
            + (f'      COMPREPLY=($(compgen -W "{words}" -- "$word"))' if words else "      compopt -o default")
            + " ;;\n"
        )
    return (
        "_garrison() {\n"
        '  local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"\n'
        "  COMPREPLY=()\n"
        "  if ((COMP_CWORD == 1)); then\n"
        f'    COMPREPLY=($(compgen -W "{" ".join(COMMANDS)} --help --version" -- "$word")); return\n'
        "  fi\n"
        f'  case "${{COMP_WORDS[1]}}" in\n{"".join(cases)}  esac\n'
        "}\n"
        "complete -F _garrison garrison\n"
    )


def _zsh() -> str:
    commands = "\n".join(f"    {_quoted(f'{name}:{words}')}" for name, words in COMMANDS.items())
    cases = "".join(f"    {name})\n      _arguments {_zsh_arguments(name)} ;;\n" for name in COMMANDS)
    return (
        "#compdef garrison\n"
        "_garrison() {\n"
        f"  local -a commands=(\n{commands}\n  )\n"
        "  if ((CURRENT == 2)); then _describe command commands; return; fi\n"
        "  local command=$words[2]\n"
        "  words=($words[1] ${words[3,-1]})\n"
        "  ((CURRENT--))\n"
        f"  case $command in\n{cases}  esac\n"
        "}\n"
        # Sourced, it registers itself; autoloaded from `fpath`, it is the function's body and is called.
        'if [[ $funcstack[1] == _garrison ]]; then _garrison "$@"; else compdef _garrison garrison; fi\n'
    )


def _zsh_arguments(command: str) -> str:
    specs = []
    for action in _actions(command):
        words = " ".join(_words(action))
        value = f"({words})" if words else "_files" if action.metavar in _PATHS else ""
        said = (action.help or "").replace("[", "(").replace("]", ")").replace(":", " -")
        if not action.option_strings:
            specs.append(f"{'*' if action.nargs == '+' else ''}:{action.metavar}:{value}")
        elif action.nargs == 0:
            specs.append(f"{action.option_strings[-1]}[{said}]")
        else:
            specs.append(f"{action.option_strings[-1]}[{said}]:{action.metavar or action.dest}:{value}")
    return " ".join(map(_quoted, specs))


def _fish() -> str:
    none = f"not __fish_seen_subcommand_from {' '.join(COMMANDS)}"
    lines = [
        f"complete -c garrison -f -n {_quoted(none)} -a {name} -d {_quoted(said)}\n" for name, said in COMMANDS.items()
    ]
    for command in COMMANDS:
        seen = f"complete -c garrison -n {_quoted(f'__fish_seen_subcommand_from {command}')}"
        for action in _actions(command):
            words = _quoted(" ".join(_words(action)))
            said = _quoted(action.help or "")
            if not action.option_strings:
                lines.append(f"{seen} {'-F' if action.metavar in _PATHS else f'-f -a {words}'}\n")
            else:
                long = action.option_strings[-1].removeprefix("--")
                value = "" if action.nargs == 0 else " -rF" if action.metavar in _PATHS else f" -xa {words}"
                lines.append(f"{seen} -l {long}{value} -d {said}\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "’").replace("`", "") + "'"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
