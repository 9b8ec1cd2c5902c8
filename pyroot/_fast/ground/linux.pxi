# Every extern of the core, grouped by header.  Nothing here decides anything.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strchr, strcmp, strlen, strncmp, strrchr

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <signal.h>
    #include <stddef.h>
    #include <stdio.h>
    #include <sys/mman.h>
    #include <sys/prctl.h>
    #include <sys/resource.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/statvfs.h>
    #include <sys/syscall.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #include <sys/un.h>
    #include <sys/user.h>
    #include <sys/wait.h>
    #include <unistd.h>
    #include <linux/audit.h>
    #include <linux/openat2.h>
    #include <linux/seccomp.h>
    #include <sys/ptrace.h>
    #include <linux/ptrace.h>
    #include "tables.h"
    #include "loader.h"
    /* where a pyroot inside a pyroot has its pages: the constants of loader.h are the outermost one's */
    static unsigned long long pyroot_shift;
    #ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
    #define SECCOMP_FILTER_FLAG_SPEC_ALLOW 4
    #endif
    #ifndef MFD_EXEC
    #define MFD_EXEC 0x10U
    #endif
    """
    int errno
    unsigned long long pyroot_shift

cdef extern from "<errno.h>" nogil:
    enum:
        E2BIG, EACCES, EAGAIN, EBADF, EBUSY, ECHILD, EEXIST, EFAULT, EINTR, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE
        ENAMETOOLONG, ENFILE, ENOENT, ENOEXEC, ENOMEM, ENOSYS, ENOTDIR, ENOTEMPTY, ENXIO, EPERM, ERANGE, EROFS, ESRCH, ETXTBSY, EXDEV
        EAFNOSUPPORT, ECANCELED, ENETUNREACH, ENOTSOCK, EOPNOTSUPP, EOVERFLOW

cdef extern from "<sys/types.h>" nogil:
    ctypedef int pid_t
    ctypedef unsigned int uid_t
    ctypedef unsigned int mode_t
    ctypedef long ssize_t
    ctypedef long off_t

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_TRUNC, O_NONBLOCK, O_TMPFILE, O_NOATIME
        AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EACCESS
        F_DUPFD_CLOEXEC, F_SETLEASE, F_RDLCK, F_UNLCK, F_GETFD
        F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE
        O_ACCMODE
    int c_open "open"(const char *, int, ...)
    int c_openat "openat"(int, const char *, int, ...)
    int c_fcntl "fcntl"(int, int, ...)

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int)
    ssize_t c_read "read"(int, void *, size_t)
    ssize_t c_write "write"(int, const void *, size_t)
    ssize_t c_pread "pread"(int, void *, size_t, off_t)
    ssize_t c_pwrite "pwrite"(int, const void *, size_t, off_t)
    ssize_t c_readlink "readlink"(const char *, char *, size_t)
    ssize_t c_readlinkat "readlinkat"(int, const char *, char *, size_t)
    int c_faccessat "faccessat"(int, const char *, int, int)
    int c_chdir "chdir"(const char *)
    int c_rmdir "rmdir"(const char *)
    int c_unlink "unlink"(const char *)
    off_t lseek(int, off_t, int)
    enum:
        SEEK_SET, SEEK_CUR
    pid_t c_fork "fork"()
    pid_t c_getpid "getpid"()
    int c_usleep "usleep"(unsigned int)
    uid_t c_geteuid "geteuid"()
    int c_execve "execve"(const char *, char **, char **)
    int c_pipe2 "pipe2"(int *, int)
    void c_exit "_exit"(int)
    long c_syscall "syscall"(long, ...)
    enum:
        X_OK, W_OK, R_OK, F_OK

cdef extern from "<sys/stat.h>" nogil:
    struct c_stat "stat":
        unsigned long st_dev
        unsigned long st_ino
        unsigned int st_mode
        unsigned int st_uid
        unsigned int st_gid
        unsigned long st_nlink
        long st_size
    int fstatat(int, const char *, c_stat *, int)
    int c_fstat "fstat"(int, c_stat *)
    bint S_ISLNK(unsigned int)
    bint S_ISDIR(unsigned int)
    bint S_ISREG(unsigned int)
    bint S_ISSOCK(unsigned int)
    enum:
        S_ISVTX, S_IWOTH, S_ISUID, S_ISGID, S_IXGRP
    int c_chmod "chmod"(const char *, unsigned int)
    int c_mkdir "mkdir"(const char *, unsigned int)
    int c_fchmod "fchmod"(int, unsigned int)

cdef extern from "<sys/sysmacros.h>" nogil:
    unsigned int c_major "major"(unsigned long)
    unsigned int c_minor "minor"(unsigned long)

cdef extern from "<sys/statvfs.h>" nogil:
    struct c_statvfs "statvfs":
        unsigned long f_flag
    int c_fstatvfs "fstatvfs"(int, c_statvfs *)
    enum:
        ST_NOEXEC, ST_NOSUID

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    struct c_dirent "dirent":
        unsigned long d_ino
        char d_name[256]
    DIR *fdopendir(int)
    c_dirent *readdir(DIR *)
    int closedir(DIR *)

cdef extern from "<stdio.h>" nogil:
    int snprintf(char *, size_t, const char *, ...)

cdef extern from "<stdlib.h>" nogil:
    char *getenv(const char *)
    unsigned long strtoul(const char *, char **, int)

cdef extern from "<string.h>" nogil:
    size_t strcspn(const char *, const char *)

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *, size_t, int, int, int, off_t)
    int munmap(void *, size_t)
    int madvise(void *, size_t, int)
    int c_memfd_create "memfd_create"(const char *, unsigned int)
    int ftruncate(int, off_t)
    enum:
        PROT_READ, PROT_WRITE, PROT_EXEC, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MFD_CLOEXEC, MFD_EXEC, MFD_ALLOW_SEALING
    void *MAP_FAILED

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t process_vm_readv(pid_t, const iovec *, unsigned long, const iovec *, unsigned long, unsigned long)
    ssize_t process_vm_writev(pid_t, const iovec *, unsigned long, const iovec *, unsigned long, unsigned long)

cdef extern from "<sys/wait.h>" nogil:
    pid_t c_waitpid "waitpid"(pid_t, int *, int)
    bint WIFEXITED(int)
    int WEXITSTATUS(int)
    bint WIFSIGNALED(int)
    bint WIFSTOPPED(int)
    int WSTOPSIG(int)
    enum:
        __WALL, WNOHANG

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    ctypedef struct siginfo_t:
        int si_signo
        int si_code
        pid_t si_pid
        void *si_ptr
    struct c_sigaction "sigaction":
        void (*sa_sigaction)(int, siginfo_t *, void *) noexcept
        void (*sa_handler)(int) noexcept
        sigset_t sa_mask
        int sa_flags
    int sigaction(int, c_sigaction *, c_sigaction *)
    int sigfillset(sigset_t *)
    int sigaddset(sigset_t *, int)
    int sigprocmask(int, sigset_t *, sigset_t *)
    void (*SIG_DFL)(int) noexcept
    void (*SIG_IGN)(int) noexcept
    enum:
        SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGTRAP, SIGCHLD, SIGPIPE, SIGXFSZ
        SIGSEGV, SIGBUS, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH
        SA_SIGINFO, SIG_SETMASK, SIG_BLOCK, SI_USER, SI_QUEUE, SI_TKILL

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int, ...)
    enum:
        PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_GET_SECCOMP, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, PR_SET_NAME

cdef extern from "<sys/resource.h>" nogil:
    struct c_rlimit "rlimit":
        unsigned long rlim_cur
        unsigned long rlim_max
    int getrlimit(int, c_rlimit *)
    int setrlimit(int, c_rlimit *)
    enum:
        RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA

cdef extern from "<linux/openat2.h>" nogil:
    struct open_how:
        uint64_t flags
        uint64_t mode
        uint64_t resolve
    enum:
        RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_CACHED

cdef extern from "<linux/filter.h>" nogil:
    struct sock_filter:
        uint16_t code
        uint8_t jt
        uint8_t jf
        uint32_t k
    struct sock_fprog:
        unsigned short len
        sock_filter *filter

cdef extern from "<linux/seccomp.h>" nogil:
    enum:
        SECCOMP_SET_MODE_FILTER, SECCOMP_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW

cdef extern from "<sys/ptrace.h>" nogil:
    enum:
        PTRACE_SEIZE, PTRACE_CONT, PTRACE_SYSCALL, PTRACE_LISTEN, PTRACE_GETEVENTMSG
        PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACEFORK, PTRACE_O_TRACEVFORK, PTRACE_O_TRACECLONE, PTRACE_O_TRACEEXEC
        PTRACE_O_TRACESECCOMP, PTRACE_O_EXITKILL, PTRACE_EVENT_FORK, PTRACE_EVENT_VFORK, PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC
        PTRACE_EVENT_SECCOMP, PTRACE_EVENT_STOP, PTRACE_PEEKDATA, PTRACE_POKEDATA, PTRACE_POKETEXT
        PTRACE_INTERRUPT, PTRACE_SETOPTIONS, PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_KILL, PTRACE_SINGLESTEP
        PTRACE_EVENT_VFORK_DONE, PTRACE_EVENT_EXIT
        PTRACE_O_TRACEVFORKDONE, PTRACE_O_TRACEEXIT, PTRACE_GETSIGINFO, PTRACE_SETSIGINFO
    enum:
        PTRACE_GET_SYSCALL_INFO = 0x420e

cdef extern from "<sys/socket.h>" nogil:
    enum:
        AF_UNIX
    struct c_msghdr "msghdr":
        void *msg_name
        unsigned int msg_namelen
        void *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags

cdef extern from "loader.h" nogil:
    struct loader_info:
        unsigned int magic
        unsigned int flags
        unsigned long long arena_addr
        unsigned long long arena_size
        unsigned int off_arena
        unsigned int off_prog
        unsigned int off_interp
        unsigned int off_execfn
        unsigned int nprefix
        unsigned int off_prefix
        unsigned int off_comm
        unsigned int off_detours
        unsigned int off_sites
        unsigned int nsites
        unsigned int supervisor
        unsigned int prog_file
        unsigned int interp_file
        unsigned int off_code
        unsigned int ids[4]
        unsigned int secure
        unsigned int who
        unsigned int off_index
    enum:
        LOADER_FAIL_ARENA, LOADER_FAIL_CODE
        LOADER_MAGIC, LI_SHARED_ARENA, LI_DETOURS, LI_IDS, LOADER_STUB_SIZE, LOADER_STUB_RESUME, LOADER_STUBS_SIZE, SLOT_FRAME
        LOADER_STUB_OPEN, LOADER_STUB_OPEN_AGAIN, LOADER_STUB_OPEN_SEEN
        LOADER32_INFO, LOADER32_REPORT, LOADER32_STRIDE
    unsigned long long LOADER_STUBS "(LOADER_STUBS + pyroot_shift)"
    unsigned long long LOADER_TEXT "(LOADER_TEXT + pyroot_shift)"
    unsigned int LOADER32_TEXT, LOADER32_ARENA, LOADER32_ARENA_ASIDE
    unsigned long long LOADER_INFO "(LOADER_INFO + pyroot_shift)"
    unsigned long long LOADER_ARENA "(LOADER_ARENA + pyroot_shift)"
    unsigned long long LOADER_INDEX "(LOADER_INDEX + pyroot_shift)"
    unsigned long long LOADER_END "(LOADER_END + pyroot_shift)"
    enum:
        LOADER_TRAMPOLINE, LOADER_LAST, LOADER_TEXT_SIZE, LOADER_KEPT

cdef extern from "<sys/syscall.h>" nogil:
    enum:
        SYS_ptrace, SYS_prlimit64, SYS_seccomp, SYS_capget, SYS_pidfd_open, SYS_faccessat, SYS_pidfd_getfd, SYS_pidfd_send_signal
        SYS_wait4, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo

cdef extern from * nogil:
    """
    static int pyroot_pending_stop(int tid) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid == 0) return 0;
        return info.si_status;
    }
    static int pyroot_socket_name(int fd, int peer, void *to, unsigned int *size) {
        return peer ? getpeername(fd, (struct sockaddr *)to, size) : getsockname(fd, (struct sockaddr *)to, size);
    }
    static int pyroot_peek_sender(int fd, void *to, unsigned int *size) {
        char byte;
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_name = to, .msg_namelen = *size, .msg_iov = &v, .msg_iovlen = 1};
        int got = (int)recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT);
        *size = m.msg_namelen;
        return got < 0 ? -1 : 0;
    }
    """
    int pyroot_pending_stop(int)
    int pyroot_socket_name(int, int, void *, unsigned int *)
    int pyroot_peek_sender(int, void *, unsigned int *)

cdef extern from "<errno.h>" nogil:
    enum:
        EADDRINUSE
