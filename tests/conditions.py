"""The suite under one condition after the other, and a table of the counts: ``make conditions ARGS="tmpfs busy -- -k trace"``.

Without names all are run; ``tmpfs+turkish`` is one run under both; what stands behind ``--`` is pytest's. Decides what a condition
changes (one row each); what it finds is pytest's affair. A condition lives in processes and name spaces of its own, and nothing of the
machine is changed, except that ``account`` makes an account and removes it. Where a condition cannot be had, its row says why. The output
of each run is kept in a directory that is named.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.oracle.build import cache_directory

COUNTS = ("passed", "failed", "errors", "skipped", "deselected")
LANGUAGE = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES")
ORDINARY = 64_999
BUSY = [sys.executable, "-IS", "-c", "while True: pass"]


class Impossible(Exception):
    """A condition cannot be had here; the text says why."""


@dataclass
class Setting:
    """What a run is started with."""

    environment: dict[str, str]
    scratch: str
    words: list[str] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    ignored: tuple[int, ...] = ()
    blocked: tuple[int, ...] = ()
    descriptors: tuple[int, ...] = ()

    def inside(self, spaces: list[str], script: str) -> None:
        """Run in new name spaces, where a script of the shell has been at work before; an ordinary user has the rights in one of users."""
        for program in ("unshare", "setpriv"):
            if not shutil.which(program):
                raise Impossible(f"{program} is not installed (Debian: util-linux)")
        # process 1 of a name space has to wait for everybody's children, which the shell does
        after = '"$@"; exit $?' if "--pid" in spaces else 'exec "$@"'
        if os.geteuid():
            spaces = ["--user", "--map-current-user", "--keep-caps", *spaces]
            after = after.replace('"$@"', 'setpriv --ambient-caps -all --inh-caps -all -- "$@"')
        words = ["unshare", "--mount", *spaces, "sh", "-ec", f"{script}\n{after}", "sh"]
        tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
        if tried.returncode:
            raise Impossible(tried.stderr.strip().splitlines()[-1])
        self.words += words

    def temporary(self, path: str) -> None:
        """Let temporary files be made elsewhere."""
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o1777)
        self.environment["TMPDIR"] = path


def plain(_setting: Setting) -> None:
    """Change nothing."""


def lent_cache(setting: Setting, uid: int) -> str:
    """Make a cache that a user may write, with root's Debian roots in it."""
    place = f"{setting.scratch}/cache"
    os.makedirs(place)
    for path in glob.glob(f"{cache_directory()}/*.tar"):
        os.symlink(path, f"{place}/{os.path.basename(path)}")
    os.chown(place, uid, uid)
    setting.environment["PYROOT_TEST_CACHE"] = place
    return place


def user(setting: Setting) -> None:
    """As a user without an account."""
    if os.geteuid():
        raise Impossible("only root can become somebody else")
    setting.environment.update(HOME=lent_cache(setting, ORDINARY), USER="nobody-else")
    setting.words += ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]


def account(setting: Setting) -> None:
    """As a user whose account is new, from a login shell."""
    if os.geteuid():
        raise Impossible("only root makes accounts")
    name = f"pyroot-{os.getpid()}"
    made = subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Impossible(made.stderr.strip())
    setting.stack.callback(subprocess.run, ["userdel", "-r", name], capture_output=True, check=False)
    lent_cache(setting, pwd.getpwnam(name).pw_uid)
    kept = [f"{word}={setting.environment[word]}" for word in ("PYROOT_CMD", "PYROOT_TEST_CACHE") if word in setting.environment]
    setting.words += ["su", "-", name, "-c", f'cd "{os.getcwd()}" && exec env "$@"', "--", "su", *kept]


def one_cpu(setting: Setting) -> None:
    """On one CPU."""
    setting.words += ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


def busy(setting: Setting) -> None:
    """Beside two loops that use what time there is."""
    for _ in range(2):
        loop = subprocess.Popen(BUSY)
        setting.stack.callback(loop.wait)
        setting.stack.callback(loop.kill)


def tmpfs(setting: Setting) -> None:
    """With temporary files in memory."""
    setting.temporary(f"{setting.scratch}/tmp")
    setting.inside([], f"mount -t tmpfs -o mode=1777 none {setting.scratch}/tmp")


def overlay(setting: Setting) -> None:
    """With temporary files on overlayfs, as in containers."""
    for name in ("lower", "upper", "work"):
        os.makedirs(f"{setting.scratch}/{name}")
        os.chmod(f"{setting.scratch}/{name}", 0o1777)
    setting.temporary(f"{setting.scratch}/tmp")
    layers = ",".join(f"{option}={setting.scratch}/{name}" for option, name in
                      (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")))  # fmt: skip
    setting.inside([], f"mount -t overlay -o {layers} none {setting.scratch}/tmp")


def long_name(setting: Setting) -> None:
    """With temporary files in a directory whose name is long and has a blank."""
    setting.temporary(f"{setting.scratch}/{'temporary files ' * 6}/{'long' * 12}")


def no_language(setting: Setting) -> None:
    """Without a word of locales in the environment."""
    for name in LANGUAGE:
        setting.environment.pop(name, None)


def c_language(setting: Setting) -> None:
    """With LC_ALL=C."""
    setting.environment["LC_ALL"] = "C"


def turkish(setting: Setting) -> None:
    """With a locale whose small and capital letters differ from ASCII's, and whose decimal point is a comma."""
    where = f"{setting.scratch}/locales"
    os.makedirs(where)
    made = subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", f"{where}/tr_TR.UTF-8"], capture_output=True, text=True, check=False)
    if made.returncode not in (0, 1) or not os.path.exists(f"{where}/tr_TR.UTF-8"):
        raise Impossible("no source of tr_TR (Debian: locales)")
    setting.environment.update(LOCPATH=where, LC_ALL="tr_TR.UTF-8")


def own_pids(setting: Setting) -> None:
    """In a PID name space of its own, with a /proc of its own beside the machine's, as bwrap makes it."""
    if not shutil.which("bwrap"):
        raise Impossible("bwrap is not installed (Debian: bubblewrap)")
    setting.words += ["bwrap", "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc", "--die-with-parent"]


def high_pids(setting: Setting) -> None:
    """With process ids of seven digits."""
    raised = "echo 4194304 >/proc/sys/kernel/pid_max; " if os.uname().release.split(".")[:2] >= ["6", "14"] else ""
    script = f"mount -t proc proc /proc; {raised}echo 1000000 >/proc/sys/kernel/ns_last_pid"
    setting.inside(["--pid", "--fork", "--kill-child"], script)


def hidepid(setting: Setting) -> None:
    """With a /proc that shows a user the user's own processes only."""
    setting.inside(["--pid", "--fork", "--kill-child"], "mount -t proc -o hidepid=2 proc /proc")


def no_ipv6(setting: Setting) -> None:
    """In a network of its own that has no addresses of IPv6."""
    script = "ip link set lo up; for f in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done"
    setting.inside(["--net"], f"[ ! -e /proc/sys/net/ipv6 ] || {{ {script}; }}")


def yama(setting: Setting) -> None:
    """Where only parents may trace."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            scope = file.read().strip()
    except OSError:
        raise Impossible("this kernel has no Yama") from None
    if scope != "1":
        raise Impossible(f"kernel.yama.ptrace_scope is {scope} here, and it is the whole machine's")


def ci(setting: Setting) -> None:
    """As jobs of a CI are started: CI set, no terminal, no colours, no home."""
    setting.environment.update(CI="true", NO_COLOR="1", TERM="dumb", TZ="Asia/Kathmandu")
    setting.environment.pop("HOME", None)


def python_words(setting: Setting) -> None:
    """With variables that Python obeys."""
    setting.environment.update(PYTHONUTF8="1", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1", PYTHONHASHSEED="7", PYTHONNOUSERSITE="1")


def net(setting: Setting) -> None:
    """With a layer of Landlock around guests (--net)."""
    from pyroot.options import VERBS

    given = setting.environment.get("PYROOT_CMD", f"{os.path.dirname(sys.executable)}/pyroot")
    wrapper = f"{setting.scratch}/pyroot"
    with open(wrapper, "w", encoding="utf-8") as file:
        verbs = "|".join(row[0] for row in VERBS)
        file.write(f'#!/bin/sh\ncase "$1" in\n{verbs}) exec {given} "$@" ;;\n*) exec {given} --net "$@" ;;\nesac\n')
    os.chmod(wrapper, 0o755)
    setting.environment["PYROOT_CMD"] = wrapper


def inherited(setting: Setting) -> None:
    """With signals ignored and blocked, and open descriptors, as careless parents leave them."""
    setting.ignored = (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT)
    setting.blocked = (signal.SIGUSR2, signal.SIGWINCH)
    setting.descriptors = (50, 51, 99)
    with open(os.devnull, "rb") as nothing:
        for number in setting.descriptors:
            setting.stack.callback(os.close, os.dup2(nothing.fileno(), number))


CONDITIONS = {
    "plain": plain, "user": user, "account": account, "one-cpu": one_cpu, "busy": busy, "tmpfs": tmpfs, "overlay": overlay,
    "long-name": long_name, "no-language": no_language, "c-language": c_language, "turkish": turkish, "own-pids": own_pids,
    "high-pids": high_pids, "hidepid": hidepid, "no-ipv6": no_ipv6, "yama": yama, "ci": ci, "python-words": python_words,
    "inherited": inherited, "net": net,
}  # fmt: skip


@contextmanager
def scratch_directory() -> Iterator[str]:
    """Make a directory that everybody may enter."""
    path = tempfile.mkdtemp(prefix="pyroot-condition-", dir="/var/tmp")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", path], capture_output=True, check=False)
        shutil.rmtree(path, ignore_errors=True)


def start(setting: Setting, arguments: list[str], log: str) -> None:
    """Run the suite under the condition and write down what it says."""

    def before_exec() -> None:
        for number in setting.ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, setting.blocked)

    # the script, as in `make test`: with -m the source tree would come before the installed package
    words = [*setting.words, f"{os.path.dirname(sys.executable)}/pytest", "-q", "-p", "no:cacheprovider", "-rfEs", *arguments]
    with open(log, "wb") as output:
        subprocess.run(
            words, env=setting.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
            preexec_fn=before_exec, pass_fds=setting.descriptors,
        )  # fmt: skip


def counts(log: str) -> dict[str, int] | None:
    """Read the counts of a run; None where it has come to no end."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for line in reversed(lines):
        if re.search(r"\bin [\d.]+s\b", line):
            found = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", line)}
            return {name: found.get(name, found.get(name.removesuffix("s"), 0)) for name in COUNTS}
    return None


def one(name: str, arguments: list[str], kept: str) -> bool:
    """Run one condition and print its row; tell whether nothing failed."""
    log = f"{kept}/{name}.log"
    begin = time.monotonic()
    with scratch_directory() as scratch, ExitStack() as stack:
        setting = Setting(dict(os.environ), scratch, stack=stack)
        try:
            for part in name.split("+"):
                CONDITIONS[part](setting)
        except Impossible as reason:
            print(f"{name:14} not to be had: {reason}", flush=True)
            return True
        start(setting, arguments, log)
    found = counts(log)
    if found is None:
        print(f"{name:14} no result: {log}", flush=True)
        return False
    print(f"{name:14}" + "".join(f"{found[column]:11}" for column in COUNTS) + f"{time.monotonic() - begin:9.0f} s", flush=True)
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("FAILED ", "ERROR ")):
                print(f"    {line.rstrip()[:160]}", flush=True)
    return not found["failed"] and not found["errors"]


def main() -> int:
    """Run the conditions that are named."""
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    names, arguments = words[:at] or list(CONDITIONS), words[at + 1 :]
    unknown = [part for name in names for part in name.split("+") if part not in CONDITIONS]
    if unknown:
        print(f"no such condition: {unknown[0]} (there are: {' '.join(CONDITIONS)})", file=sys.stderr)
        return 2
    kept = tempfile.mkdtemp(prefix="pyroot-conditions-")
    print(f"output: {kept}\n{'condition':14}" + "".join(f"{column:>11}" for column in COUNTS) + f"{'time':>11}", flush=True)
    bad = sum(not one(name, arguments, kept) for name in names)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
