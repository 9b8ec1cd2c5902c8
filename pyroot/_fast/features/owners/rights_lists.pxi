# Tails of records, and the access control lists in them: what they say of who may, and what new files get of their directory's.
#
# The rules are those of fs/posix_acl.c.  The bits of a list that the mode has as well count as the mode has them.
#
# Decides: what a list says.

cdef extern from "tails.h" nogil:
    int tail_find(const char *, int, const char *)
    int tail_next(const char *, int, int, char *, const char **, int *)
    int tail_value(const char *, int, const char *, const char **)
    int tail_without(char *, int, const char *)
    int tail_with(char *, int, int, const char *, const void *, int)
    int acl_check(const char *, int, int *, uint32_t *)
    void acl_of_mode(char *, int, uint32_t)
    int acl_create(char *, int, uint32_t *)
    ctypedef struct acl_entry:
        uint16_t tag, perm
        uint32_t id
    enum:
        ACL_USER_, ACL_GROUP_OBJ_, ACL_GROUP_, ACL_MASK_, ACL_OTHER_

cdef char tail_bytes[1 << 20]
cdef int tail_size = 0

cdef const char *ACCESS_LIST = b"system.posix_acl_access"
cdef const char *DEFAULT_LIST = b"system.posix_acl_default"
cdef const char *CAPABILITIES = b"security.capability"

cdef void tail_load(const Truth *f) noexcept nogil:
    """Read the tail of a record into tail_bytes; an unreadable one is empty."""
    global tail_size
    cdef int64_t n = store_tail_get(f.where, f.slot.tail, tail_bytes, sizeof(tail_bytes)) if f.found and f.slot.tail != 0 else 0
    tail_size = <int>n if n > 0 else 0

cdef int list_rights(Tracee *t, const Truth *f, int wanted) noexcept nogil:
    """Judge by the access control list of a file that is not the asker's own (posix_acl_permission): 0, -EACCES, or 1: it has none."""
    cdef const char *list = NULL
    cdef acl_entry e
    cdef int i, n, granted = -1
    cdef bint found = False
    if not f.mode & 0o070 or not f.found or not f.slot.flags & STORE_XATTRS:
        return 1
    tail_load(f)
    n = tail_value(tail_bytes, tail_size, ACCESS_LIST, &list)
    if n < 4:
        return 1
    for i in range((n - 4) // 8):
        memcpy(&e, list + 4 + 8 * i, 8)
        if e.tag == ACL_MASK_:
            # (what an entry before it has granted)
            if granted >= 0:
                return 0 if wanted & ~(granted & f.mode >> 3) == 0 else -EACCES
        elif granted >= 0:
            continue
        elif e.tag == ACL_USER_:
            if e.id == who_uid(t):
                granted = e.perm
        elif e.tag == ACL_GROUP_OBJ_ or e.tag == ACL_GROUP_:
            if who_in_group(t, f.gid if e.tag == ACL_GROUP_OBJ_ else e.id):
                found = True
                if wanted & ~<int>e.perm == 0:
                    granted = e.perm
        elif e.tag == ACL_OTHER_:
            return 0 if not found and wanted & ~<int>(f.mode & 7) == 0 else -EACCES
    return -EACCES

cdef int list_of_new(const Truth *parent, char **list) noexcept nogil:
    """Copy the default list of a directory, which the caller frees; its size, 0 if it has none."""
    cdef const char *value = NULL
    cdef int n
    list[0] = NULL
    if not parent.found or not parent.slot.flags & STORE_DEFAULTS:
        return 0
    tail_load(parent)
    n = tail_value(tail_bytes, tail_size, DEFAULT_LIST, &value)
    if n <= 4:
        return 0
    list[0] = <char *>malloc(n)
    if list[0] == NULL:
        return 0
    memcpy(list[0], value, n)
    return n

cdef int list_inherit(const Spot *at, Truth *f, char *list, int n, uint32_t mode, Tracee *writer) noexcept nogil:
    """Give what has just been made the lists and the mode that follow from its directory's default list; 0 or -errno.

    ``writer``: who writes to it and may not keep its set-id bits then, or NULL.
    """
    global tail_size
    cdef uint32_t left
    cdef int error
    tail_size = 0
    if S_ISDIR(f.mode):
        tail_size = tail_with(tail_bytes, 0, sizeof(tail_bytes), DEFAULT_LIST, list, n)
    mode &= 0o777
    if acl_create(list, n, &mode):
        tail_size = tail_with(tail_bytes, tail_size, sizeof(tail_bytes), ACCESS_LIST, list, n)
    f.mode = f.mode & ~<uint32_t>0o777 | mode
    if writer != NULL:
        f.mode = mode_without_setid(writer, f)
    left = f.disk.mode & KIND_BITS | safe_mode(at, f.mode, f.found and f.slot.flags & STORE_NODE)
    error = tail_save(at, f, left)
    if error == 0 and left != f.disk.mode:
        error = disk_chmod(at.fd, left)
        if error == 0 and f.found and f.slot.was != 0:
            store_done(f.where, f.disk.dev, f.disk.ino)
    return error
