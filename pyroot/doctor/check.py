"""`pyroot check`: the part of the doctor that looks at the host alone. The work is in `verb` and `host`."""

from __future__ import annotations

from pyroot.doctor.verb import check_main as main

__all__ = ["main"]
