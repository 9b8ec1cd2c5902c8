# What /proc/PID/status says of a task.
#
# Decides: how it is read. What follows from it is decided by those who ask.

cdef int status_field(int tid, const char *name) noexcept nogil:
    cdef char file[40]
    cdef char text[4096]
    cdef char *p
    cdef int fd, value = 0
    cdef ssize_t n
    snprintf(file, sizeof(file), b"/proc/%d/status", tid)
    fd = c_open(file, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return 0
    n = c_read(fd, text, sizeof(text) - 1)
    c_close(fd)
    text[n if n > 0 else 0] = 0
    p = find_text(text, name)
    if p != NULL:
        parse_pid(p + strlen(name), &value)
    return value

cdef int status_read(int pid, char *text, size_t size) noexcept nogil:
    """Read /proc/PID/status; return its length or -errno."""
    cdef char file[40]
    cdef ssize_t n
    cdef int fd
    snprintf(file, sizeof(file), b"/proc/%d/status", pid)
    fd = c_open(file, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return -errno
    n = c_read(fd, text, size - 1)
    c_close(fd)
    text[n if n > 0 else 0] = 0
    return <int>n if n > 0 else -ESRCH

cdef bint status_ids(int tid, int *ids) noexcept nogil:
    """Read the four user and the four group ids of a task."""
    cdef char file[40]
    cdef char text[2048]
    cdef const char *p
    cdef int i, fd
    cdef ssize_t n
    snprintf(file, sizeof(file), b"/proc/%d/status", tid)
    fd = c_open(file, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return False
    n = c_read(fd, text, sizeof(text) - 1)
    c_close(fd)
    text[n if n > 0 else 0] = 0
    for i in range(8):
        if i % 4 == 0:
            p = find_text(text, b"Uid:" if i == 0 else b"Gid:")
            if p == NULL:
                return False
            p += 4
        p += 1
        p += parse_pid(p, &ids[i])
    return True

cdef uint64_t status_bits(int tid, const char *name) noexcept nogil:
    """Read a mask of /proc/TID/status, written in hexadecimal."""
    cdef char file[40]
    cdef char text[2048]
    cdef const char *p
    cdef uint64_t value = 0
    cdef int fd
    cdef ssize_t n
    snprintf(file, sizeof(file), b"/proc/%d/status", tid)
    fd = c_open(file, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return 0
    n = c_read(fd, text, sizeof(text) - 1)
    c_close(fd)
    text[n if n > 0 else 0] = 0
    p = find_text(text, name)
    if p == NULL:
        return 0
    p += strlen(name)
    while c'0' <= p[0] <= c'9' or c'a' <= p[0] <= c'f':
        value = value * 16 + <uint64_t>(p[0] - c'0' if p[0] <= c'9' else p[0] - c'a' + 10)
        p += 1
    return value

cdef uint32_t umask_of(int tid) noexcept nogil:
    """Read a task's umask; 0 where nobody tells it."""
    cdef char text[2048]
    cdef char *p
    if status_read(tid, text, sizeof(text)) < 0:
        return 0
    p = find_text(text, b"Umask:\t")
    return <uint32_t>strtoul(p + 7, NULL, 8) & 0o777 if p != NULL else 0
