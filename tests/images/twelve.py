"""An image of twelve layers in which each thing happens that layers can do to each other."""

from __future__ import annotations

import tarfile

from tests.images import Entry, entry

CAPS = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode()  # cap_net_raw+ep
HARD = tarfile.LNKTYPE

LAYERS: list[list[Entry]] = [
    [
        entry("./"), entry("etc/"), entry("usr/", mtime=1.25e9), entry("usr/bin/"), entry("usr/lib/"), entry("lib", link="usr/lib"),
        entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"), entry("etc/shadow", b"root:*:\n", 0o640, gid=42),
        entry("usr/bin/su", b"su", 0o4755), entry("usr/bin/wall", b"wall", 0o2755, gid=5), entry("tmp/", mode=0o1777),
        entry("usr/bin/ping", b"ping", 0o755, xattrs={"security.capability": CAPS}), entry("home/"),
        entry("home/alice/", mode=0o700, uid=1000, gid=1000), entry("home/alice/notes", b"n" * 9000, 0o600, 1000, 1000),
    ],
    [entry("usr/bin/a", b"one"), entry("usr/bin/b", link="usr/bin/a", kind=HARD), entry("usr/bin/c", link="usr/bin/a", kind=HARD)],
    [entry("usr/bin/b", b"two, which is no longer one"), entry("usr/bin/d", link="usr/bin/c", kind=HARD)],
    [entry("opt/"), entry("opt/x/"), entry("opt/x/1", b"1"), entry("opt/x/2", b"2"), entry("opt/y", b"y"), entry("opt/deep/"),
     entry("opt/deep/er/"), entry("opt/deep/er/f", b"f")],
    [entry("opt/x/"), entry("opt/x/3", b"3"), entry("opt/x/.wh..wh..opq"), entry("opt/x/4", b"4", uid=7)],
    [entry("opt/.wh.y"), entry("opt/.wh.deep"), entry("usr/bin/.wh.a")],
    [entry("lib/libx.so", b"through a link"), entry("lib/locale/"), entry("lib/locale/C", b"C")],
    [entry("dev/"), entry("dev/null", None, 0o666, kind=tarfile.CHRTYPE, device=(1, 3)),
     entry("dev/sda", None, 0o660, gid=6, kind=tarfile.BLKTYPE, device=(8, 0)),
     entry("run/pipe", None, 0o600, uid=3, kind=tarfile.FIFOTYPE)],
    [entry("opt/z/"), entry("opt/z/link", link="/etc/passwd", uid=11, gid=12), entry("opt/" + "n" * 120 + "/"),
     entry("opt/" + "n" * 120 + "/" + "m" * 200, b"long"), entry("opt/t\u00ea", b"utf-8"), entry("opt/\udcff\udcfe", b"neither")],
    [entry("opt/z", b"a file where a directory was"), entry("etc/passwd/"), entry("etc/passwd/in", b"a directory where a file was")],
    [entry("etc/shadow", b"root:!:\n", 0o600, gid=42, mtime=1_700_000_000.125), entry("home/alice/", mode=0o750, uid=1000, gid=1001),
     entry("tmp/.wh.nothing"), entry("usr/bin/e", link="usr/bin/d", kind=HARD)],
    [entry("opt/x/", mtime=5.0), entry("opt/x/.wh.3"), entry("opt/x/3", b"again, whatever the order"), entry("srv/"), entry("srv/a", b"a")],
]  # fmt: skip
