"""`pyroot check`: the part of the doctor that examines only the host. The work is in `verb` and `host`."""

from __future__ import annotations

from pyroot.doctor.verb import check_main as main

__all__ = ["main"]
