# What uname(2) tells: names that were given for the session, and those that its root has set since.
#
# Switched on with six lines: sysname, nodename, release, version, machine, domainname; an empty one is the kernel's.  All guests share
# them, as those of one UTS namespace do.  What they cannot change is the kernel itself: its calls, and the files of /proc that tell of it.
#
# Decides: what uname(2) of all ages says, and who may change names.

cdef enum:
    UTS_FIELD = 65
    UTS_FIELDS = 6
    UTS_NODENAME = 1
    UTS_DOMAINNAME = 5
    OLD_FIELD = 9            # of oldolduname(2)

cdef struct Uts:
    char given[6][65]
    bint is_given[6]

cdef Uts uts

cdef extern from "<sys/utsname.h>" nogil:
    struct c_utsname "utsname":
        char sysname[65]
    int c_uname "uname"(c_utsname *)

cdef void uts_begin(View *v, const char *text) noexcept nogil:
    cdef int i, n
    memset(&uts, 0, sizeof(uts))
    for i in range(UTS_FIELDS if text != NULL else 0):
        n = line_length(text)
        if n > 0:
            memcpy(uts.given[i], text, n if n < UTS_FIELD else UTS_FIELD - 1)
            uts.is_given[i] = True
        text = line_next(text, n)

cdef void uts_now(char *to) noexcept nogil:
    """Write all six fields."""
    cdef int i
    memset(to, 0, UTS_FIELD * UTS_FIELDS)
    c_uname(<c_utsname *>to)
    for i in range(UTS_FIELDS):
        if uts.is_given[i]:
            memcpy(to + UTS_FIELD * i, uts.given[i], UTS_FIELD)

cdef int uts_tell(Tracee *t, const pyroot_row *row) noexcept nogil:
    """uname(2); those before it on i386 have five fields, and the first of them such as are cut short."""
    cdef char fields[390]
    cdef int i, size = UTS_FIELD * UTS_FIELDS
    uts_now(fields)
    if t.call.compat and strcmp(row.name, b"uname") != 0:
        size = UTS_FIELD * (UTS_FIELDS - 1)
    if t.call.compat and strcmp(row.name, b"oldolduname") == 0:
        size = OLD_FIELD * (UTS_FIELDS - 1)
        for i in range(UTS_FIELDS - 1):
            memmove(fields + OLD_FIELD * i, fields + UTS_FIELD * i, OLD_FIELD - 1)
            fields[OLD_FIELD * i + OLD_FIELD - 1] = 0
    return answer(t, -EFAULT if mem_write(t.tid, t.call.args[0], fields, size) < 0 else 0)

cdef int uts_set(Tracee *t, int field) noexcept nogil:
    """sethostname(2), setdomainname(2), by the session's root."""
    cdef char name[65]
    cdef int n = <int>t.call.args[1]
    if not creds.on:
        return TAKE_NOT
    if not cred_capable(t, CAP_SYS_ADMIN_):
        return answer(t, -EPERM)
    if not 0 <= n < UTS_FIELD:
        return answer(t, -EINVAL)
    memset(name, 0, sizeof(name))
    if n > 0 and mem_read(t.tid, t.call.args[0], name, n) < 0:
        return answer(t, -EFAULT)
    memcpy(uts.given[field], name, UTS_FIELD)
    uts.is_given[field] = True
    return answer(t, 0)

cdef int uts_first(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.call.nr == NR_sethostname:
        return uts_set(t, UTS_NODENAME)
    if t.call.nr == NR_setdomainname:
        return uts_set(t, UTS_DOMAINNAME)
    return uts_tell(t, row)

cdef void feature_uts(Feature *f) noexcept nogil:
    f.begin = uts_begin
    f.take = uts_first
