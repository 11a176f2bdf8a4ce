"""`lavaseg completion`: what bash, zsh and fish need to complete the command when Tab is pressed.

Typer answers what may follow (`_LAVASEG_COMPLETE`), a line each with a tab before what it is. Its
own scripts put a blank behind a field such as `training.epochs=`, and bash, which divides words at
equals signs, would not complete fields at all. So these ask for the line as it is typed.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lavaseg.errors import LavasegError

VARIABLE = "_LAVASEG_COMPLETE"
"""The variable of the environment by which a shell asks."""
_ASKED = (
    "_TYPER_COMPLETE_ARGS={line} _TYPER_COMPLETE_FISH_ACTION=get-args "
    f"{VARIABLE}=complete_fish lavaseg 2>/dev/null"
)
"""A command that answers, a line for each word."""

_BASH = """\
# bash completion of lavaseg: eval "$(lavaseg completion bash)"
_lavaseg_completion() {
    local line=${COMP_LINE:0:COMP_POINT} word found rest prefix=
    word=${line##*[[:space:]]}
    # of a word with = or : bash replaces what follows the last of them
    [[ $word == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && prefix=${word%"${word##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\\t' read -r found rest; do
        [[ -n $found ]] && COMPREPLY+=("${found#"$prefix"}")
    done < <(ASKED)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _lavaseg_completion lavaseg
"""

_ZSH = """\
#compdef lavaseg
# zsh completion of lavaseg: eval "$(lavaseg completion zsh)", after compinit
_lavaseg() {
    local -a whole fields
    local found about
    while IFS=$'\\t' read -r found about; do
        [[ -n $found ]] || continue
        if [[ $found == *= ]]; then
            fields+=("${found//:/\\\\:}:$about")
        else
            whole+=("${found//:/\\\\:}:$about")
        fi
    done < <(ASKED)
    (( $#whole )) && _describe lavaseg whole
    (( $#fields )) && _describe field fields -S ''
    (( $#whole + $#fields )) || _files
}
if [[ $funcstack[1] == _lavaseg ]]; then
    _lavaseg "$@"
else
    compdef _lavaseg lavaseg
fi
"""

_FISH = """\
# fish completion of lavaseg: lavaseg completion fish | source
function __lavaseg_complete
    set -l found (env ASKED | string match -v '')
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command lavaseg --no-files --arguments '(__lavaseg_complete)'
"""

SCRIPTS = {
    "bash": _BASH.replace("ASKED", _ASKED.format(line="$line")),
    "zsh": _ZSH.replace("ASKED", _ASKED.format(line='"${words[1,CURRENT]}"')),
    "fish": _FISH.replace("ASKED", _ASKED.format(line="(commandline -cp)")),
}
"""What each shell reads."""


class Shell(str, Enum):
    """Shells that are completed."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[
        Shell | None,
        typer.Argument(help="bash, zsh or fish.", show_default="the one that SHELL names"),
    ] = None,
) -> None:
    """Print what makes your shell complete commands, options, recipes and fields with Tab.

    In bash, put `eval "$(lavaseg completion bash)"` into ~/.bashrc.

    In zsh, put `eval "$(lavaseg completion zsh)"` into ~/.zshrc, after compinit.

    In fish, call `lavaseg completion fish > ~/.config/fish/completions/lavaseg.fish` once.

    Example: `eval "$(lavaseg completion bash)"`
    """
    name = Path(os.environ.get("SHELL", "")).name if shell is None else shell.value
    if name not in SCRIPTS:
        raise LavasegError(
            f"the variable SHELL names {name!r}, which is not completed: give bash, zsh or fish"
        )
    typer.echo(SCRIPTS[name], nl=False)


def is_completing() -> bool:
    """Whether a shell asks, in place of a user who gives a command."""
    return VARIABLE in os.environ
