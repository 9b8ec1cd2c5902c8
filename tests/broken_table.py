"""The situations in which roots do not work: one row each, and `tests/test_doctor.py` walks them.

A row says of what kind it is, where it was reported or which manual describes it, how a sound root gets into it, and what the doctor has
to say first: its code and how severe it is. `mends` tells whether --fix puts it right. Nothing else may be called an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests import broken_roots as way
from tests.broken_roots import (
    becomes_directory,
    becomes_file,
    becomes_its_text,
    bring,
    inside,
    interpreter,
    library,
    lines,
    link,
    mode,
    patch,
    remove,
    script,
    truncate,
    unlink_library,
    ways,
    write,
)

MISSING = "missing"
DAMAGED = "there and does not work"
CLOSED = "there and may not be used"
LOST = "lost on the way into the root"
FOREIGN = "from another system"
LAYOUT = "layout of the top directories"
LEAKED = "the host's environment"
MOUNTED = "made by a mount that found nothing"


@dataclass(frozen=True)
class Defect:
    """One situation. `needs`: "root" (device nodes), "merged" (a host with /bin -> usr/bin), or a program of this host."""

    kind: str
    source: str
    name: str
    code: str
    act: Callable[[Path], object]
    mends: bool = False
    severity: str = "error"
    commands: tuple[str, ...] = ()
    needs: str = ""
    environment: dict[str, str] = field(default_factory=dict)


D = Defect
TINFO = "libtinfo.so.6"


def passwd(old: str, new: str) -> Callable[[Path], None]:
    """Replace some text in /etc/passwd."""
    return lines("etc/passwd", lambda text: re.sub(old, new, text))


def nsswitch(old: str, new: str) -> Callable[[Path], None]:
    """Replace some text in /etc/nsswitch.conf."""
    return lines("etc/nsswitch.conf", lambda text: re.sub(old, new, text))


def carriage_returns(root: Path) -> None:
    """End the lines of passwd in CR LF."""
    (root / "etc/passwd").write_bytes((root / "etc/passwd").read_bytes().replace(b"\n", b"\r\n"))


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 216368\n"
LONG = "#!/opt/" + "a-rather-long-name/" * 14 + "bin/python\n"

DEFECTS = (
    # --- programs and what they name
    D(MISSING, "proot-me/proot#367", "no ELF interpreter", "elf-interpreter", lambda root: interpreter(root).unlink(), True),
    D(MISSING, "sgerrand/alpine-pkg-glibc#183", "link to the ELF interpreter missing", "elf-interpreter",
      remove("usr/lib64/ld-linux-x86-64.so.2"), True, needs="/usr/lib64/ld-linux-x86-64.so.2"),
    D(FOREIGN, "gliderlabs/docker-alpine#106", "program of musl in a root of glibc", "elf-interpreter", way.musl_program, True,
      commands=("tool",), needs="musl-gcc"),
    D(MISSING, "goharbor/harbor#4265", "script without interpreter", "script-interpreter",
      lambda root: script(root, "#!/opt/nosuch/python\n")),
    D(MISSING, "env(1)", "script whose env program is missing", "script-interpreter",
      lambda root: script(root, "#!/usr/bin/env nosuch-tool\n")),
    D(MISSING, "RomainClaret/lfs-7.8#6", "script for a program of the host", "script-interpreter",
      lambda root: script(root, "#!/usr/bin/head -3\n"), True),
    D(DAMAGED, "passbolt/passbolt_cli#6", "two words for env in a #! line", "script-interpreter",
      lambda root: script(root, "#!/usr/bin/env node --harmony\n")),
    D(DAMAGED, "conda/conda#3999", "#! line that is too long", "script-interpreter", lambda root: script(root, LONG)),
    D(LOST, "basicmachines-co/basic-memory#510", "interpreter of a virtual environment gone", "script-interpreter",
      ways(lambda root: (root / "opt/venv/bin").mkdir(parents=True), link("opt/venv/bin/python", "/root/.local/share/uv/python3"),
      lambda root: script(root, "#!/opt/venv/bin/python\n"))),
    D(MISSING, "update-alternatives(1)", "interpreter behind a link missing", "script-interpreter", way.interpreter_behind_a_link),
    D(DAMAGED, "Perl/perl5#15960", "script with CR LF", "script-line-end", lambda root: script(root, "#!/bin/sh\r\necho\r\n"), True),
    D(DAMAGED, "sh(1)", "script with an option and CR LF", "script-line-end", lambda root: script(root, "#!/bin/sh -e\r\necho\r\n"), True),
    D(DAMAGED, "PIsberg/vibetags#437", "script with a byte order mark", "script-mark",
      write("/usr/bin/tool", b"\xef\xbb\xbf#!/bin/sh\n", 0o755), True),
    D(LOST, "thsmi/sieve#453", "x bit lost", "not-executable", mode("/bin/ls", 0o644), True),
    D(LOST, "lmenezes/cerebro#124", "x bits of all programs lost", "not-executable", way.lose_modes, True),
    D(LOST, "execve(2)", "x bit of the ELF interpreter lost", "not-executable", lambda root: interpreter(root).chmod(0o644), True),
    D(LOST, "bazelbuild/bazel#4733", "x bit of the command lost", "not-executable", mode("/bin/ls", 0o644), True, commands=("ls",)),
    D(CLOSED, "execve(2)", "unreadable program", "not-readable", mode("/bin/ls", 0o311), True),
    D(DAMAGED, "elf(5)", "program cut off", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 40000)),
    D(DAMAGED, "elf(5)", "program of 10 bytes", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 10)),
    D(DAMAGED, "execve(2)", "program empty", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 0)),
    D(FOREIGN, "yatli/arch-linux-arm-clockworkpi#4", "program for another machine", "foreign-machine",
      lambda root: patch(inside(root, "/bin/ls"), 18, b"\xb7\0")),
    D(MISSING, "chroot(1)", "command missing", "command-missing", lambda root: None, commands=("nosuch-tool",)),
    D(MISSING, "chroot(1)", "command by path missing", "command-missing", lambda root: None, commands=("/opt/tool",)),
    D(MISSING, "kendryte/k230_docs#34", "command of the host", "command-missing", lambda root: None, True, commands=("head",)),
    D(MISSING, "YelpArchive/venv-update#99", "program that leads nowhere", "program-dangling",
      link("usr/bin/dir", "../../opt/nosuch/dir")),
    D(MISSING, "update-alternatives(1)", "what a link of a program leads to is missing", "program-dangling", way.two_links_to_one_place),
    D(DAMAGED, "just-containers/s6-overlay#124", "programs that are links to each other", "program-dangling",
      ways(link("usr/bin/execlineb", "/bin/execlinec"), link("usr/bin/execlinec", "/bin/execlineb"))),
    D(LOST, "ln(1)", "link with the host's path", "link-to-host", link("usr/bin/dir", "{root}/usr/bin/ls"), True),
    D(DAMAGED, "execve(2), ELOOP", "script that is to interpret itself", "script-interpreter",
      lambda root: script(root, "#!/usr/bin/tool\n"), commands=("tool",)),
    # --- libraries
    D(MISSING, "ld.so(8)", "no libtinfo", "library-missing", lambda root: unlink_library(root, TINFO), True),
    D(MISSING, "ld.so(8)", "no libc", "library-missing", lambda root: unlink_library(root, "libc.so.6"), True),
    D(LOST, "NVIDIA/nvidia-container-toolkit#128", "link of a library's name missing", "library-missing", way.lose_library_link, True),
    D(DAMAGED, "elf(5)", "library cut off", "program-damaged", lambda root: truncate(library(root, TINFO), 30000)),
    D(DAMAGED, "NVIDIA/libnvidia-container#117", "library empty", "program-damaged", lambda root: truncate(library(root, TINFO), 0)),
    D(DAMAGED, "git-lfs/git-lfs#4240", "library that was not fetched by git lfs", "program-damaged",
      lambda root: library(root, TINFO).write_text(LFS)),
    D(FOREIGN, "qilingframework/qiling#1359", "other symbol versions", "symbol-version", way.other_version),
    D(FOREIGN, "dex4er/fakechroot#18", "ELF interpreter of another C library", "symbol-version", way.other_loader),
    D(FOREIGN, "sgerrand/alpine-pkg-glibc#115", "library without a symbol", "symbol-missing",
      lambda root: way.uses_library(root, "int f(void) { return 0; }\n", "int g(void) { return 0; }\n"), commands=("tool",), needs="gcc"),
    D(FOREIGN, "bmanojlovic/rpi-cross-compile#4", "library for another machine", "library-foreign",
      lambda root: patch(library(root, TINFO), 18, b"\xb7\0")),
    D(CLOSED, "newsnowlabs/runcvm#26", "unreadable library", "not-readable", lambda root: library(root, TINFO).chmod(0), True),
    D(MISSING, "coreos/bootengine#37", "library that the cache does not know", "loader-index", way.library_not_in_cache, True),
    D(MISSING, "chainguard-dev/apko#1629", "no cache, library in a directory of ld.so.conf", "loader-index", way.no_cache, True),
    D(DAMAGED, "hanwckf/rt-n56u#490", "damaged cache", "loader-index-damaged", lambda root: truncate(root / "etc/ld.so.cache", 30), True,
      "warning"),
    D(MISSING, "ld.so(8)", "$ORIGIN without /proc", "origin-needs-proc", way.finds_by_origin, commands=("/opt/app/bin/app",), needs="gcc"),
    D(MISSING, "ld.so(8)", "preloaded library missing", "preload", write("/etc/ld.so.preload", "/lib/libx.so\n"), severity="warning"),
    D(DAMAGED, "ld.so(8)", "preload that names no library", "preload", write("/etc/ld.so.preload", "/etc/passwd\n"), severity="warning"),
    D(LEAKED, "termux/termux-app#1576", "LD_PRELOAD of the host", "preload", lambda root: None,
      environment={"LD_PRELOAD": "/opt/host/libx.so"}, severity="warning"),
    D(DAMAGED, "musl: ldso/dynlink.c", "path file of musl", "musl-path", write("/etc/ld-musl-x86_64.path", "/nowhere\n"),
      severity="warning"),
    # --- runtimes
    D(MISSING, "linuxserver/docker-homeassistant#115", "Python without its library", "runtime-library",
      ways(bring("/usr/bin/python3"), way.forget_python), True, "warning", ("python3",), "/usr/bin/python3"),
    D(MISSING, "perlrun(1)", "Perl without its library", "runtime-library", ways(bring("/usr/bin/perl"), way.forget_perl), True, "error",
      ("perl",), "perl"),
    D(LEAKED, "spack/spack#16508", "PYTHONHOME of the host", "variable-missing", bring("/usr/bin/python3"), commands=("python3",),
      needs="/usr/bin/python3", environment={"PYTHONHOME": "/opt/conda"}),
    D(MISSING, "desktop/desktop#10345", "git without its commands", "git-commands",
      ways(bring("/usr/bin/git"), remove("usr/lib/git-core")), True, "warning", ("git",), "/usr/lib/git-core"),
    D(MISSING, "GCC: Directory Options", "gcc without cc1", "compiler-parts", ways(bring("/usr/bin/gcc"), way.forget_compiler), True,
      "error", ("gcc",), "gcc"),
    D(MISSING, "ccrisan/streameye#19", "gcc without stdio.h", "compiler-parts", bring("/usr/bin/gcc"), True, "warning", ("gcc",), "gcc"),
    D(MISSING, "pthread_exit(3)", "no libgcc_s for threads that end", "cancel-library", ways(bring("/usr/bin/python3"), way.forget_libgcc),
      True, "warning", ("python3",), "/usr/bin/python3"),
    # --- directories
    D(MISSING, "mktemp(1)", "no /tmp", "tmp-missing", remove("tmp"), True),
    D(DAMAGED, "hier(7)", "/tmp is a file", "tmp-missing", becomes_file("tmp")),
    D(MISSING, "symlink(7)", "/tmp leads nowhere", "tmp-missing", ways(remove("tmp"), link("tmp", "/scratch")), True),
    D(MISSING, "symlink(7)", "/etc leads nowhere", "directory-closed", ways(remove("etc"), link("etc", "/settings")), True),
    D(CLOSED, "nix-community/docker-nix#15", "/tmp closed", "tmp-rights", mode("/tmp", 0o555), True),
    D(CLOSED, "hier(7)", "/var/tmp closed", "tmp-rights", mode("/var/tmp", 0o555), True),
    D(CLOSED, "path_resolution(7)", "/etc closed", "directory-closed", mode("/etc", 0o600), True),
    D(CLOSED, "ronybeck/ApolloExplorer#4", "library directory closed", "directory-closed", mode("/usr/lib", 0o000), True),
    D(LAYOUT, "systemd/systemd#4630", "no /bin", "merged-usr", remove("bin"), True, needs="merged"),
    D(LAYOUT, "file-hierarchy(7)", "/lib64 leads nowhere", "merged-usr", link("lib64", "usr/lib65"), True, needs="merged"),
    D(LAYOUT, "dslm4515/Optimux#16", "/bin is a directory with other programs", "merged-usr", way.top_directory, True, needs="merged"),
    D(MOUNTED, "hier(7)", "/usr is not mounted", "merged-usr", way.empty_usr, needs="merged"),
    D(LAYOUT, "openSUSE/installation-images#439", "/sbin is a directory", "merged-usr-mixed", way.unmerge, needs="merged",
      severity="warning"),
    D(CLOSED, "thecodingmachine/docker-images-php#256", "home directory closed", "home-rights", way.own_home(0o555), True,
      severity="warning"),
    D(MISSING, "holgerleichsenring/agent-smith#117", "home directory missing", "home-missing", ways(way.own_home(0o755), remove("srv/me")),
      True, severity="warning"),
    # --- what became something else
    D(LOST, "git-config(1), core.symlinks", "/bin/sh is a text", "link-as-text", becomes_its_text("/bin/sh"), True),
    D(LOST, "git-config(1), core.symlinks", "a library is a text", "link-as-text", becomes_its_text(f"/usr/lib/{way.TRIPLET}/{TINFO}"),
      True, needs=f"/usr/lib/{way.TRIPLET}/{TINFO}"),
    D(LOST, "cthackers/adm-zip#342", "every link is a text", "link-as-text", way.lose_links, True),
    D(DAMAGED, "execve(2), ENOEXEC", "/bin/sh is a text of another kind", "shell-damaged", write("/usr/bin/dash", "hello world\n", 0o755),
      needs="/usr/bin/dash"),
    D(DAMAGED, "mkfifo(3)", "/bin/sh is a FIFO", "shell-damaged", way.shell_is_a_fifo),
    D(MOUNTED, "moby/moby#21666", "passwd is a directory", "passwd-missing", becomes_directory("etc/passwd"), True),
    D(MOUNTED, "moby/moby#21666", "group is a directory", "group-missing", becomes_directory("etc/group"), True),
    D(MOUNTED, "docker-archive/compose-cli#1795", "hosts is a directory", "hosts-missing", becomes_directory("etc/hosts"), True,
      "warning"),
    D(MOUNTED, "docker-archive/compose-cli#1795", "nsswitch.conf is a directory", "nsswitch-missing",
      becomes_directory("etc/nsswitch.conf"), True, "warning"),
    D(MOUNTED, "docker-archive/compose-cli#1795", "localtime is a directory", "localtime", becomes_directory("etc/localtime"),
      severity="warning"),
    D(DAMAGED, "aerynOS/os-tools#466", "/dev/null is a file, and there is no device", "dev-wrong", write("/dev/null", "text\n")),
    # --- devices
    D(MISSING, "null(4)", "no /dev/null", "dev-missing", remove("dev/null"), needs="root"),
    D(DAMAGED, "Lind-Project/lind-wasm#787", "/dev/null is a file", "dev-wrong", becomes_file("dev/null"), needs="root"),
    D(CLOSED, "apptainer/singularity#318", "/dev/null closed", "dev-rights", mode("/dev/null", 0o400), True, needs="root"),
    # --- accounts and names
    D(MISSING, "gportay/dosh#3", "no passwd", "passwd-missing", remove("etc/passwd"), True),
    D(MISSING, "group(5)", "no group", "group-missing", remove("etc/group"), True),
    D(CLOSED, "passwd(5)", "passwd closed", "setting-unreadable", mode("/etc/passwd", 0), True),
    D(CLOSED, "group(5)", "group closed", "setting-unreadable", mode("/etc/group", 0), True),
    D(CLOSED, "ldconfig(8)", "ld.so.cache closed", "setting-unreadable", mode("/etc/ld.so.cache", 0), True),
    D(CLOSED, "hosts(5)", "hosts closed", "setting-unreadable", mode("/etc/hosts", 0), True, "warning"),
    D(CLOSED, "resolv.conf(5)", "resolv.conf closed", "setting-unreadable", mode("/etc/resolv.conf", 0), True, "warning"),
    D(CLOSED, "nsswitch.conf(5)", "nsswitch.conf closed", "setting-unreadable", mode("/etc/nsswitch.conf", 0), True, "warning"),
    D(DAMAGED, "passwd(5)", "damaged passwd", "account-damaged", lambda root: (root / "etc/passwd").open("a").write("broken:x:12\n")),
    D(DAMAGED, "passwd(5)", "passwd with CR LF", "account-damaged", carriage_returns, True),
    D(MISSING, "passwd(5)", "no user 0", "no-root-account", passwd("(?m)^root:.*\n", ""), True, "warning"),
    D(MISSING, "passwd(5)", "shell of root missing", "shell-missing", passwd(":/bin/bash", ":/bin/zsh"), severity="warning"),
    D(MISSING, "golang/go#35305", "no nsswitch.conf", "nsswitch-missing", remove("etc/nsswitch.conf"), True, "warning"),
    D(MISSING, "projectcalico/calico#6710", "nss module missing", "nss-module", nsswitch("(?m)^passwd:.*", "passwd: compat"), True),
    D(MISSING, "nsswitch.conf(5)", "the only module of a database missing", "nss-module", nsswitch("(?m)^group:.*", "group: nosuchthing")),
    D(DAMAGED, "nsswitch.conf(5)", "hosts without service", "nsswitch-empty", nsswitch("(?m)^hosts:.*", "hosts:")),
    D(MISSING, "golang/go#22846", "no hosts", "hosts-missing", remove("etc/hosts"), True, "warning"),
    D(DAMAGED, "hosts(5)", "hosts without localhost", "hosts-missing", lines("etc/hosts", lambda text: "# localhost\n"), True, "warning"),
    D(MISSING, "systemd-resolved(8)", "resolv.conf leads nowhere", "resolv-missing", link("etc/resolv.conf", "../run/systemd/resolve/x"),
      True, "warning"),
    D(DAMAGED, "resolv.conf(5)", "resolv.conf with a comment only", "resolv-missing",
      write("/etc/resolv.conf", "# nameserver 192.0.2.1\n"), severity="warning"),
    D(DAMAGED, "systemd-resolved(8)", "a stub resolver that does not answer", "resolv-missing",
      write("/etc/resolv.conf", "nameserver 127.0.0.123\n"), severity="warning"),
    D(DAMAGED, "yauritux/busybox-curl#4", "certificates of no bytes", "certificates-missing",
      ways(bring("/usr/bin/openssl"), write("/etc/ssl/certs/ca-certificates.crt", "")), severity="warning", commands=("openssl",),
      needs="openssl"),
    D(LEAKED, "instrumentisto/coturn-docker-image#12", "CURL_CA_BUNDLE of the host", "variable-missing", bring("/usr/bin/openssl"),
      commands=("openssl",), needs="openssl", environment={"CURL_CA_BUNDLE": "/opt/host/ca.pem"}, severity="warning"),
    D(LEAKED, "latchset/clevis#306", "TMPDIR of the host", "variable-missing", lambda root: None, environment={"TMPDIR": "/opt/host/tmp"},
      severity="warning"),
    D(MISSING, "terminfo(5)", "terminal that is not described", "terminfo-missing", lambda root: None,
      environment={"TERM": "nosuch-terminal"}, severity="warning"),
)  # fmt: skip

assert len({one.name for one in DEFECTS}) == len(DEFECTS)
