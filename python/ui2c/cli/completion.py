"""ui2c completion SHELL."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ui2c.cli.common import Commands

BASH = """\
_ui2c() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    local words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
        *)
            case "${{COMP_WORDS[1]}}" in
{options}
            esac
            [[ "$word" == -* ]] || words=""
            ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _ui2c ui2c
"""
ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -Uz +X bashcompinit && bashcompinit
"""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "completion",
        help="a script that makes the shell complete ui2c's options",
        description="Prints a script for your shell.",
        epilog='bash: eval "$(ui2c completion bash)" in ~/.bashrc; zsh: eval "$(ui2c completion '
        'zsh)" in ~/.zshrc; fish: ui2c completion fish > ~/.config/fish/completions/ui2c.fish',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=lambda arguments: run(arguments, commands.choices))


def run(arguments: argparse.Namespace, parsers: dict[str, argparse.ArgumentParser]) -> int:
    before = ZSH if arguments.shell == "zsh" else ""
    print(fish(parsers) if arguments.shell == "fish" else before + bash(parsers), end="")
    return 0


def bash(parsers: dict[str, argparse.ArgumentParser]) -> str:
    options, choices = [], []
    for name, parser in parsers.items():
        words = [text for action in _actions(parser) for text in action.option_strings]
        options.append(f'            {name}) words="{" ".join(words)}" ;;')
        for action in _actions(parser):
            if action.choices:
                # What is no option and has choices comes right after the command.
                patterns = "|".join(f'"{name} {text}"' for text in action.option_strings or [name])
                values = " ".join(map(str, action.choices))
                choices.append(f'        {patterns}) words="{values}" ;;')
    return BASH.format(
        commands=" ".join(parsers), options="\n".join(options), choices="\n".join(choices)
    )


def fish(parsers: dict[str, argparse.ArgumentParser]) -> str:
    lines = []
    for name, parser in parsers.items():
        lines.append(f"complete -c ui2c -n __fish_use_subcommand -a {name}")
        for action in _actions(parser):
            parts = [f"complete -c ui2c -n '__fish_seen_subcommand_from {name}'"]
            for text in action.option_strings:
                parts.append(f"-l {text[2:]}" if text.startswith("--") else f"-s {text[1:]}")
            if action.choices:
                parts.append(f"-x -a '{' '.join(map(str, action.choices))}'")
            elif action.nargs != 0:
                parts.append("-r")
            if action.help:
                help = (action.help % {"prog": "ui2c"}).replace("'", "\\'")
                parts.append(f"-d '{help}'")
            lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options, and what has choices; the rest is completed as file names."""
    return (action for action in parser._actions if action.option_strings or action.choices)
