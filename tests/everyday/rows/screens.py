"""Full-screen programs, on a terminal of 80 by 24 that the guest's tmux provides."""

from __future__ import annotations

from ..row import Row

ROWS = (
    Row("vim", "vim", r"""
printf 'one\ntwo\n' >text
screen vim -u NONE -i NONE -n text
see two
keys G o; say 'three'; keys Escape
say ':r !echo from a child; pwd'; keys Enter
see from.a.child
shot
say ':wq'; keys Enter
finish
cat text
"""),
)
