"""The table of calls: one row says what each argument of a system call is.

Decides: name, sets of `-e trace=%SET` that it is in, kinds of arguments, kind of result. Not decided here: how a kind is written
(`kinds`, `structs`, `sockets`, `special`, `attributes`), and which arguments are paths, directories of paths and addresses of sockets:
that is in the table of `pyroot.syscalls`, and such arguments are not in a row here. A row is `name sets arguments... [= result]`; the
arguments fill the positions that are left. `>` marks what is known only at the exit, `N@kind` an argument that is not the next one,
`path=kind` and `dirfd=kind` say that a path or its directory has a kind of its own. Facts: the manual pages of section 2, and strace(1)
for the form, which the tests compare with.

Sets: f file, d desc, p process, n network, s signal, m memory, i ipc, c creds, k clock, S stat, L lstat, F fstat, - none. A call with a
path is always in f and one with the directory of a path in d.
A call that has no row here is written by python-ptrace's formatter (`fallback`).
"""

from __future__ import annotations

import functools

from pyroot.syscalls.table import ROWS, Row
from pyroot.syscalls.table_i386 import rows_by_name

Words = tuple[str, list[str], str]

SETS = {
    "f": ("file",),
    "d": ("desc",),
    "p": ("process",),
    "n": ("network", "net"),
    "s": ("signal",),
    "m": ("memory",),
    "i": ("ipc",),
    "c": ("creds",),
    "k": ("clock",),
    "S": ("stat", "%stat"),
    "L": ("lstat", "%stat"),
    "F": ("fstat", "%stat"),
    "T": ("statfs", "%statfs"),
    "U": ("fstatfs", "%statfs"),
    "P": ("pure",),
}

_ROWS = """
read d fd >buf ulong
write d fd buf:2 ulong
open d open create:1 = fd
close d fd
stat S >stat
fstat dF fd >stat
lstat L >stat
poll d pollfds ulong int = pollfds
lseek d fd long enum:seek
mmap dm ptr ulong flags:prot map mapfd 5@hex = hex
mprotect m ptr ulong flags:prot
munmap m ptr ulong
brk m ptr = hex
rt_sigaction s signal sigaction >sigaction ulong
rt_sigprocmask s enum:sighow sigset >sigset ulong
rt_sigreturn s sigframe
ioctl d fd ioctl ioctl_arg 2@>ioctl_told
pread64 d fd >buf ulong long
pwrite64 d fd buf:2 ulong long
readv d fd >iov:2 ulong
writev d fd iov:2 ulong
access - flags:access
pipe d >fds
select d int fdset fdset fdset timeval = select
sched_yield -
mremap m ptr ulong ulong flags:mremap remapped:3 = hex
msync m ptr ulong flags:msync
mincore m ptr ulong >mincore
madvise m ptr ulong enum:madvise
shmget i ipckey ulong ipcflags
shmat im int ptr flags:shm = hex
shmctl i int enum:ipc_cmd ptr
dup d fd = fd
dup2 d fd fd = fd
pause s
nanosleep k timespec >remainder
getitimer - enum:itimer >itimerval
alarm - uint
setitimer - enum:itimer itimerval >itimerval
getpid P
sendfile dn fd fd offset 2@>moved 3@ulong
socket n enum:domain socktype sockproto = fd
connect n fd int
accept n fd >socklen = fd
sendto n fd buf:2 ulong flags:msg uint
recvfrom n fd >buf ulong flags:msg >socklen
sendmsg n fd msghdr flags:msg
recvmsg n fd >msghdr flags:msg
shutdown n fd enum:shut
bind n fd int
listen n fd int
getsockname n fd >socklen
getpeername n fd >socklen
socketpair n enum:domain socktype sockproto >fds
setsockopt n fd enum:sol sockopt:1 sockval:4 int
getsockopt n fd enum:sol sockopt:1 >sockval:4 >socklen
clone p 1@clone_stack 0@clone_flags 2@clone_rest
fork p
vfork p
execve p path=program argv envp
exit p int = exit
wait4 p int >status flags:wait >used:wait
kill sp int signal
uname - >utsname
semget i ipckey int ipcflags
semop i int sembufs:2 ulong
semctl i int int enum:ipc_cmd ptr
restart_syscall - interrupted
semtimedop i int sembufs:2 ulong timespec
shmdt im ptr
msgget i ipckey ipcflags
msgsnd i int msgbuf:2 ulong flags:ipc
msgrcv i int >msgbuf:2 ulong long flags:ipc
msgctl i int enum:ipc_cmd ptr
fcntl d fd enum:fcntl fcntl_arg 2@>fcntl_told = fcntl
flock d fd flags:flock
fsync d fd
fdatasync d fd
truncate - long
ftruncate d fd long
getdents d fd >dirents ulong
getcwd f >cwd ulong
chdir -
fchdir d fd
rename -
mkdir - mode
rmdir -
creat d mode = fd
link -
unlink -
symlink - path
readlink - >link ulong
chmod - mode
fchmod d fd mode
chown - id id
fchown d fd id id
lchown - id id
umask - mode = oct
gettimeofday k >timeval >timezone
getrlimit - enum:rlimit >rlimit
getrusage - enum:rusage >used
sysinfo - >sysinfo
times - >tms = long
ptrace - enum:ptrace int ptr ptr
getuid cP
syslog - int >buf int
getgid cP
setuid c id
setgid c id
geteuid cP
getegid cP
setpgid - int int
getppid P
getpgrp P
setsid -
setreuid c id id
setregid c id id
getgroups c int >groups
setgroups c int groups:0
setresuid c id id id
getresuid c >intp >intp >intp
setresgid c id id id
getresgid c >intp >intp >intp
getpgid - int
setfsuid c id
setfsgid c id
getsid - int
capget c caphead >capdata
capset c caphead capdata
rt_sigpending s >sigset ulong
rt_sigtimedwait s sigset >siginfo timespec ulong
rt_sigqueueinfo sp int signal siginfo
rt_sigsuspend s sigset ulong
sigaltstack s stack >stack
utime - utimbuf
mknod - file_mode mkdev:1
personality - personality = personality
statfs T >statfs
fstatfs dU fd >statfs
getpriority - enum:priority int
setpriority - enum:priority int int
sched_setparam - int sched_param
sched_getparam - int >sched_param
sched_setscheduler - int enum:sched sched_param
sched_getscheduler - int = sched
sched_get_priority_max - enum:sched
sched_get_priority_min - enum:sched
sched_rr_get_interval - int >timespec
mlock m ptr ulong
munlock m ptr ulong
mlockall m flags:mlockall
munlockall m
vhangup -
pivot_root f path path
prctl c prctl >prctl_told = prctl
arch_prctl - enum:arch arch_arg
setrlimit - enum:rlimit rlimit
chroot -
sync -
acct f path
mount - path str flags:mount mountdata
umount2 - flags:umount
swapon f path swap_flags
swapoff f path
sethostname - buf:1 ulong
gettid P
readahead d fd long ulong
setxattr - str buf:3 ulong flags:xattr
lsetxattr - str buf:3 ulong flags:xattr
fsetxattr d fd str buf:3 ulong flags:xattr
getxattr - str >buf:3 ulong
lgetxattr - str >buf:3 ulong
fgetxattr d fd str >buf:3 ulong
listxattr - >buf:2 ulong
llistxattr - >buf:2 ulong
flistxattr d fd >buf:2 ulong
removexattr - str
lremovexattr - str
fremovexattr d fd str
tkill sp int signal
time k >time = time
futex - futex
sched_setaffinity - int ulong cpuset:1
sched_getaffinity - int ulong >cpuset
epoll_create d int = fd
getdents64 d fd >dirents:64 ulong
set_tid_address - ptr
fadvise64 d fd long long enum:fadvise
timer_create - enum:clock sigevent >intp
timer_settime - int flags:timer_abs itimerspec >itimerspec
timer_gettime - int >itimerspec
timer_getoverrun - int
timer_delete - int
clock_settime k enum:clock timespec
clock_gettime k enum:clock >timespec
clock_getres k enum:clock >timespec
clock_nanosleep k enum:clock flags:timer_abs timespec >remainder
exit_group p int = exit
epoll_wait d fd >epoll_events int int
epoll_ctl d fd enum:epoll_op fd epoll_event
tgkill sp int int signal
utimes - file_timevals
waitid p enum:waitid int >siginfo flags:wait >used
inotify_init d = fd
inotify_add_watch d fd flags:inotify
inotify_rm_watch d fd int
openat - open create:2 = fd
mkdirat - mode
mknodat - file_mode mkdev:2
fchownat - id id flags:at
futimesat - file_timevals
newfstatat F >stat flags:at
unlinkat - flags:at
renameat -
linkat - flags:at
symlinkat - path
readlinkat - >link ulong
fchmodat - mode
faccessat - flags:access
pselect6 d int fdset fdset fdset timespec sigsetarg = select
ppoll d pollfds ulong timespec sigset ulong = pollfds
unshare p flags:unshare
set_robust_list - ptr ulong
get_robust_list - int >longhex >offset
splice d fd offset fd offset ulong flags:splice
tee d fd fd ulong flags:splice
sync_file_range d fd long long hexint
vmsplice d fd iov:2 ulong flags:splice
utimensat - file_times flags:at
epoll_pwait d fd >epoll_events int int sigset ulong
signalfd ds fd sigset ulong = fd
timerfd_create d enum:clock flags:timerfd = fd
eventfd d uint = fd
fallocate d fd flags:fallocate long long
timerfd_settime d fd flags:timerfd_set itimerspec >itimerspec
timerfd_gettime d fd >itimerspec
accept4 n fd >socklen flags:sockflags = fd
signalfd4 ds fd sigset ulong flags:signalfd = fd
eventfd2 d uint flags:eventfd = fd
epoll_create1 d flags:epoll = fd
dup3 d fd fd open3 = fd
pipe2 d >fds flags:pipe
inotify_init1 d flags:inotify_init = fd
preadv d fd >iov:2 ulong long
pwritev d fd iov:2 ulong long
rt_tgsigqueueinfo sp int int signal siginfo
recvmmsg n fd >mmsghdr uint flags:msg timespec
prlimit64 - int enum:rlimit rlimit >rlimit
syncfs d fd
sendmmsg n fd mmsghdr:2 uint flags:msg
setns d fd flags:clone
getcpu - >cpunumber >cpunumber ptr
process_vm_readv - int >iov:2 ulong iovremote:4 ulong ulong
process_vm_writev - int iov:2 ulong iovremote:4 ulong ulong
kcmp - int int enum:kcmp ulong ulong
renameat2 - flags:rename
seccomp - ulong uint ptr
getrandom - >random ulong flags:getrandom
memfd_create d str flags:memfd = fd
execveat p path=program argv envp flags:at
membarrier - enum:membarrier hexint = membarrier
mlock2 m ptr ulong flags:mlock2
copy_file_range d fd offset fd offset ulong hexint
preadv2 d fd >iov:2 ulong long flags:rwf
pwritev2 d fd iov:2 ulong long flags:rwf
pkey_mprotect m ptr ulong flags:prot int
statx F statx_at flags:statx_mask >statx
rseq - ptr hexint hexint hexint
pidfd_send_signal ds fd signal siginfo hexint
pidfd_open d int hexint = fd
clone3 p clone_args 0@>clone_told 1@ulong
close_range - uint uint flags:close_range
openat2 - open_how ulong = fd
pidfd_getfd d fd int hexint = fd
faccessat2 - flags:access flags:faccessat
epoll_pwait2 d fd >epoll_events int timespec sigset ulong
quotactl - quota_command quota_id quota_data
fanotify_mark d fd flags:fan_mark flags64:fan_event dirfd=dirfd:FAN_NOFD
name_to_handle_at - >handle >intp flags:handle_at
open_tree - flags:open_tree = fd
open_tree_attr - flags:open_tree mount_attr:4 ulong = fd
fchmodat2 - mode flags:at_name
setxattrat - flags:at_name str xattr_args:5 ulong
getxattrat - flags:at_name str >xattr_args:5 ulong
listxattrat - flags:at_name >buf:4 ulong
removexattrat - flags:at_name str
file_getattr - >file_attr:3 ulong flags:at_name
file_setattr - file_attr:3 ulong flags:at_name
"""


#: Rows of i386 that x86_64 does not have, or has with other arguments; `-` alone: written by the fallback.
_ROWS_I386 = """
_llseek d fd 1@llseek 3@>offset 4@enum:seek
clone p 1@clone_stack 0@clone_flags 2@clone_rest
fadvise64 d fd 1@pair64 3@ulong 4@enum:fadvise
fadvise64_64 d fd 1@pair64 3@pair64 5@enum:fadvise
fallocate d fd flags:fallocate 2@pair64 4@pair64
fcntl64 d fd fcntl64 fcntl_arg 2@>fcntl_told = fcntl
ftruncate64 d fd 1@pair64
truncate64 - 1@pair64
mmap
mmap2 dm ptr ulong flags:prot map mapfd 5@pages = hex
pread64 d fd >buf ulong 3@pair64
pwrite64 d fd buf:2 ulong 3@pair64
prlimit64 - int enum:rlimit rlimit64 >rlimit64
readahead d fd 1@pair64 3@ulong
select d hex
_newselect d int fdset fdset fdset timeval = select
sendfile dn fd fd long32 2@>moved 3@ulong
sendfile64 dn fd fd offset 2@>moved 3@ulong
set_thread_area - user_desc = entry_number
stat64 S >stat64
lstat64 L >stat64
fstat64 dF fd >stat64
fstatat64 F >stat64 flags:at
statfs64 T ulong >statfs64
fstatfs64 dU fd ulong >statfs64
sync_file_range d fd 1@pair64 3@pair64 5@hexint
sigreturn s sigframe:old
ugetrlimit - enum:rlimit >rlimit
waitpid p int >status flags:wait
recv n fd >buf ulong flags:msg
send n fd buf:2 ulong flags:msg
oldstat S >oldstat
oldlstat L >oldstat
oldfstat dF fd >oldstat
umount -
"""
#: The sub-calls of socketcall(2), from 1 on; their rows come after SOCKETCALLS (pyroot/_fast/watch/trace.pxi).
SUB_CALLS = (
    "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt "
    "sendmsg recvmsg accept4 recvmmsg sendmmsg"
).split()
SOCKETCALLS = 1000
#: Calls of i386 whose fields have other widths, and the rows whose arguments they have.
_LIKE_32 = (
    "chown fchown lchown getuid getgid geteuid getegid setuid setgid setreuid setregid setresuid setresgid getresuid getresgid "
    "getgroups setgroups setfsuid setfsgid"
).split()
_LIKE_64 = (
    "clock_gettime64 clock_settime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64 timer_settime64 timerfd_gettime64 "
    "timerfd_settime64 utimensat_time64 rt_sigtimedwait_time64 semtimedop_time64 sched_rr_get_interval_time64 futex_time64 "
    "ppoll_time64 pselect6_time64 recvmmsg_time64"
).split()


@functools.cache
def rows() -> dict[str, Words]:
    """Give sets, kinds of arguments and kind of result by the name of the call."""
    return _placed(_parsed(_ROWS), {row.name: row for row in ROWS})


@functools.cache
def rows_i386() -> dict[str, Words]:
    """Give the same as `rows` for the numbers of i386."""
    found = _parsed(_ROWS)
    found |= {f"{name}32": found[name] for name in _LIKE_32}
    for name in _LIKE_64:
        sets, arguments, ending = found[name.removesuffix("_time64").removesuffix("64")]
        found[name] = (sets, [_in_64_bits(word) for word in arguments], ending)
    found |= _parsed(_ROWS_I386)
    for name in _ROWS_I386.split("\n"):
        if " " not in name:
            found.pop(name, None)
    return _placed(found, rows_by_name())


def _in_64_bits(word: str) -> str:
    return f"{word}64" if word.lstrip(">") in ("timespec", "itimerspec", "file_times") else word


def _parsed(text: str) -> dict[str, Words]:
    found: dict[str, Words] = {}
    for line in text.split("\n"):
        if " " in line:
            words, _equals, ending = line.partition(" = ")
            name, sets, *arguments = words.split()
            found[name] = (sets.strip("-"), arguments, ending)
    return found


def _placed(found: dict[str, Words], table: dict[str, Row]) -> dict[str, Words]:
    """Fill in what the table of calls knows: paths, their directories, addresses of sockets, and the sets that follow from them."""
    whole = {}
    for name, (sets, arguments, ending) in found.items():
        row = table.get(name)
        more = "" if row is None or row.path < 0 or _is_address(row) else "f" if row.dirfd < 0 else "fd"
        whole[name] = ("".join(dict.fromkeys(sets + more)), _arguments(arguments, row), ending)
    return whole


def _is_address(row: Row) -> bool:
    """Say whether the path of a row is the address of a socket."""
    return row.handler in ("sockin", "sockout")


def _arguments(words: list[str], row: Row | None) -> list[str]:
    """Put the arguments that the table of calls places between those of a row here."""
    kinds = {word.partition("=")[0]: word.partition("=")[2] for word in words if "=" in word}
    places = _places(row, kinds.get("path", "path"), kinds.get("dirfd", "dirfd")) if row is not None else {}
    whole: list[str] = []

    def enter(at: int, word: str) -> None:
        whole.append(word if at == len(whole) else f"{at}@{word}")

    free = -1
    for word in words:
        if "=" in word:
            continue
        number, explicit, kind = word.rpartition("@")
        free = int(number) if explicit else next(at for at in range(free + 1, 7) if at not in places)
        for at in sorted(at for at in places if at < free):
            enter(at, places.pop(at))
        enter(free, kind)
    for at in sorted(places):
        enter(at, places[at])
    return whole


def _places(row: Row, path: str, directory: str) -> dict[int, str]:
    """Give, by position, what a row of the table of calls says about arguments."""
    if _is_address(row):
        return {row.path: f"{'>' if row.handler == 'sockout' else ''}sockaddr:{row.flags}"}
    places = {}
    for at, dirfd in ((row.path, row.dirfd), (row.path2, row.dirfd2)):
        if at >= 0:
            places[at] = path if dirfd < 0 else f"{path}:{dirfd}"
        if dirfd >= 0:
            places[dirfd] = directory
    return places
