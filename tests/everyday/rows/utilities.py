"""Everyday utilities: those of every machine."""

from __future__ import annotations

from ..row import Row

ROWS = (
    Row("ls", "coreutils", r"""
mkdir d; touch d/a; ln -s a d/b; ln d/a d/c; mkfifo d/f
ls -l d | sed 's/ [A-Z][a-z][a-z] .*:.. / date /'; ls -R d; ls -la / | awk '{print $1, $NF}'; ls --color=always d; ls missing; echo $?
"""),
)
