"""A third part: rows of programs that no other row has, answered before their first play, and scored once before anything was changed.

Of 34 rows 29 were right then. Two answers had named one call where a program makes another (creat or stat for open); two
commands did not fail here (a stand-in for ImageMagick, a less whose status is 0) and are left out; one was a fault of `--why`.
"""

from __future__ import annotations

from tests.why.row import NONE, Row

CLOSED = "mkdir ro; chmod 555 ro; echo > f"
NOT_WRITTEN = r"/ro may not be written"

ROWS = (
    Row("third-docker-no-daemon", "docker -H unix:///var/run/docker.sock ps", r"connect\(.*docker\.sock.*ENOENT",
      r"docker\.sock is not there|/var/run", needs="docker"),
    Row("third-go-no-module", "go build", r"go\.mod.*ENOENT", r"go\.mod", needs="go", silent=True, heavy=True),
    Row("third-rustc-missing", "rustc none.rs", r"(open|stat)\w*\(.*none\.rs.*ENOENT", r"none\.rs is not there", needs="rustc",
      heavy=True),
    Row("third-tmux-no-server", "tmux -L pyroot-$PORT ls", r"connect\(.*pyroot-.*ENOENT", r"is not there", needs="tmux"),
    Row("third-valgrind-missing", "valgrind ./none", r"(open|stat|access|execve)\w*\(.*none.*ENOENT", r"none is not there",
      needs="valgrind"),
    Row("third-jq-missing", "jq . none.json", r"open\w*\(.*none\.json.*ENOENT", r"none\.json is not there", needs="jq"),
    Row("third-jq-garbage", "jq . f", NONE, "", "echo '{' > f", needs="jq"),
    Row("third-xz-exists", "xz f", r"open\w*\(.*f\.xz.*EEXIST", r"f\.xz is there already", "echo > f; echo > f.xz", needs="xz"),
    Row("third-bunzip2-garbage", "bunzip2 f.bz2", NONE, "", "echo nonsense > f.bz2", needs="bunzip2"),
    Row("third-zip-closed", "zip -q ro/a.zip f", r"(open|mkstemp)\w*\(.*ro/.*EACCES", NOT_WRITTEN, CLOSED, needs="zip"),
    Row("third-fallocate-limit", "sh -c 'ulimit -f 8; trap \"\" XFSZ; exec fallocate -l 1M big'", r"fallocate\(.*EFBIG", r"ulimit -f",
      needs="fallocate"),
    Row("third-umount", "umount /proc", r"umount2?\(.*EPERM", silent=True, needs="umount"),
    Row("third-unshare", "unshare -m true", r"unshare\(.*EPERM", needs="unshare"),
    Row("third-ip-link", "ip link add pyroot0 type dummy", NONE, needs="ip"),
    Row("third-mkfs-missing", "mkfs.ext4 -q none.img", r"(open|stat)\w*\(.*none\.img.*ENOENT", r"none\.img is not there",
      needs="mkfs.ext4"),
    Row("third-e2fsck-garbage", "e2fsck -n f", NONE, "", "head -c 9000 /dev/zero > f", needs="e2fsck"),
    Row("third-shred-closed", "shred f", r"open\w*\(.*\"f\".*EACCES", r"/f may not be written", "echo > f; chmod 444 f", needs="shred"),
    Row("third-csplit-range", "csplit f 99", NONE, "", "echo > f", needs="csplit"),
    Row("third-useradd", "useradd pyroot-nobody", r"(open|link)\w*\(.*/etc/.*EACCES", r"/etc.* may not be written", needs="useradd",
      wrong="chmod"),
    Row("third-script-closed", "script -qc true ro/log", r"open\w*\(.*ro/log.*EACCES", NOT_WRITTEN, CLOSED, needs="script"),
    Row("third-groff-missing", "groff none.ms", r"open\w*\(.*none\.ms.*ENOENT", r"none\.ms is not there", needs="groff"),
    Row("third-bwrap", "bwrap --bind / / true", r"(clone|unshare)\w*\(.*(EPERM|EINVAL|ENOSYS)", needs="bwrap"),
    Row("third-strace-closed", "strace -o ro/log true", r"open\w*\(.*ro/log.*EACCES", NOT_WRITTEN, CLOSED, needs="strace"),
    Row("third-sqlite3-closed", "sqlite3 f.db .dump", r"open\w*\(.*f\.db.*EACCES", r"f\.db may not be (read|written)",
      "sqlite3 f.db 'create table t(a)'; chmod 000 f.db", needs="sqlite3"),
    Row("third-cmake-closed", "cmake -S . -B ro/b", r"mkdir\w*\(.*ro/b.*EACCES", NOT_WRITTEN,
      f"{CLOSED}; echo 'project(x NONE)' > CMakeLists.txt", needs="cmake", heavy=True),
    Row("third-python-pathlib", "python3 -c 'import pathlib; pathlib.Path(\"a/b\").write_text(\"\")'", r"open\w*\(.*a/b.*ENOENT",
      r"/a is not there"),
    Row("third-tar-closed", "tar cf ro/a.tar f", r"(open\w*|creat)\(.*ro/a\.tar.*EACCES", NOT_WRITTEN, CLOSED),
    Row("third-lsof-nobody", "lsof f", NONE, "", "echo > f", needs="lsof", silent=True),
    Row("third-man-unknown", "man nosuchpage", NONE, needs="man", silent=True),
    Row("third-column-missing", "column none.txt", r"open\w*\(.*none\.txt.*ENOENT", r"none\.txt is not there", needs="column"),
    Row("third-dbus-missing", "dbus-send --system --dest=a.b /a a.b.c", r"connect\(.*system_bus_socket.*ENOENT",
      r"system_bus_socket|/run/dbus", needs="dbus-send", env="DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/system_bus_socket"),
    Row("third-tclsh-missing", "tclsh none.tcl", r"(open|stat)\w*\(.*none\.tcl.*ENOENT", r"none\.tcl is not there", needs="tclsh"),
    Row("third-busctl-no-bus", "busctl --address=unix:path=$T/bus list", r"connect\(.*/bus.*ENOENT", r"/bus is not there", needs="busctl"),
)  # fmt: skip
