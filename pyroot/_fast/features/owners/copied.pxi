# Overlays: what is copied up keeps its owner, and what is changed or made above is remembered for the session.
#
# UPPER's file is another one than the lower file, and has a record of its own.
#
# Decides: what a copy-up takes along of a record, and whose the names are that an overlay makes itself.

cdef inline bint owners_on() noexcept nogil:
    return owners.on

cdef int copied_open(const char *path, Spot *at, Truth *f) noexcept nogil:
    """Open a file of a layer, and find out what guests see of it; 0 or -errno."""
    cdef int error
    at.bind, at.mounted = -1, False
    at.place[0] = 0
    at.fd = c_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
    if at.fd < 0:
        return -errno
    error = truth_of(f, at.fd, b"", 0, 0)
    if error < 0:
        spot_drop(at)
    return error

cdef void owners_raised(const char *lower, const char *upper) noexcept nogil:
    """A file has been copied up: the copy looks as the file did."""
    global tail_size
    cdef Spot from_, to
    cdef Truth was, now
    if copied_open(lower, &from_, &was) < 0:
        return
    if copied_open(upper, &to, &now) == 0:
        now.uid, now.gid, now.mode, now.rdev = was.uid, was.gid, was.mode, was.rdev
        tail_size = 0
        if was.found and was.slot.flags & STORE_XATTRS:
            tail_load(&was)
            tail_size = tail_without(tail_bytes, tail_size, b"")
        if tail_size > 0:
            tail_save(&to, &now, now.disk.mode)
        else:
            truth_write(&to, &now, now.disk.mode)
        spot_drop(&to)
    spot_drop(&from_)

cdef int owners_changed_upper(Tracee *t, const pyroot_row *row, const char *path) noexcept nogil:
    """A call changes a lower file by a descriptor, or a link to one; its copy is at a path of UPPER: 0, -errno, or TAKE_NOT."""
    cdef Spot at
    cdef Truth f
    cdef AttrCall c
    cdef uint64_t nr = t.call.nr
    cdef int first = row.path + 1 if row.path >= 0 else 1, kind = ATTR_KERNEL, error
    cdef bint owner = nr == NR_chown or nr == NR_lchown or nr == NR_fchown or nr == NR_fchownat
    cdef bint mode = nr == NR_chmod or nr == NR_fchmod or nr == NR_fchmodat or nr == NR_fchmodat2
    if not owner and not mode:
        if find_text(row.name, b"xattr") == NULL or attr_call(t, row, &c) < 0 or mem_string(t.tid, c.name, attr_name, 256) <= 0:
            return TAKE_NOT
        kind = attr_kind(attr_name)
        if kind == ATTR_KERNEL or c.flags & ~<uint64_t>3 or c.size > ATTR_MOST:
            return TAKE_NOT
        if c.what == ATTR_SET and mem_read(t.tid, c.value, attr_value, c.size) < 0:
            return TAKE_NOT
    error = copied_open(path, &at, &f)
    if error < 0:
        return error
    if owner:
        error = chown_of(t, &at, &f, id_argument(t, row, first), id_argument(t, row, first + 1))
    elif mode:
        error = chmod_of(t, &at, &f, <uint32_t>t.call.args[first] & 0o7777)
    else:
        error = attr_change(t, &c, kind, &at, &f)
    spot_drop(&at)
    return error

cdef int owners_shown(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """A look at a descriptor tells what an overlay shows in its place: correct the owner as well."""
    cdef OverSpot s
    cdef Spot at
    cdef Truth f
    cdef char link[48]
    if outcome != R_EXIT or not owners.on:
        return outcome
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, <int>t.call.args[0])
    s.o = NULL
    over_by_text(t, link, &s)
    if s.o == NULL or s.error < 0 or copied_open(over_host(&s, s.f.attr), &at, &f) < 0:
        return outcome
    spot_drop(&at)
    told.known = True
    told.uid, told.gid, told.mode, told.rdev = f.uid, f.gid, f.mode, f.rdev
    return look_call(t, row, outcome)

cdef int owners_may_name(Tracee *t, const char *parent, const char *victim) noexcept nogil:
    """Say whether names of a directory of an overlay may be changed, by the records; 0 or -errno.  ``victim``: what is removed, or NULL."""
    cdef Truth dir, f
    cdef int error
    if not owners.on or who_may(t, CAP_DAC_OVERRIDE_):
        return 0
    if truth_of(&dir, AT_FDCWD, parent, AT_SYMLINK_NOFOLLOW, 0) < 0 or not (ours(&dir) or dir.found):
        return 0
    error = who_rights(t, &dir, W_OK | X_OK)
    if error < 0 or victim == NULL or not dir.mode & S_ISVTX or who_uid(t) == dir.uid or who_may(t, CAP_FOWNER_):
        return error
    return -EPERM if truth_of(&f, AT_FDCWD, victim, AT_SYMLINK_NOFOLLOW, 0) == 0 and who_uid(t) != f.uid else 0

cdef int owners_may_open(Tracee *t, const char *path, int wanted) noexcept nogil:
    """Say whether a file of an overlay may be opened again, by the records; 0 or -EACCES."""
    cdef Truth f
    if not owners.on or truth_of(&f, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0) < 0 or not (ours(&f) or f.found):
        return 0
    return who_rights(t, &f, wanted)

cdef int owners_may_link(Tracee *t, const char *path, bint follow) noexcept nogil:
    """Say whether a file of an overlay may get another name; 0 or -EPERM."""
    cdef Truth f
    if not owners.on or not owners.links_guarded or who_may(t, CAP_FOWNER_):
        return 0
    return link_is_safe(t, &f) if truth_of(&f, AT_FDCWD, path, 0 if follow else AT_SYMLINK_NOFOLLOW, 0) == 0 else 0

cdef inline uint32_t upper_mode(uint32_t mode) noexcept nogil:
    """Return the mode that UPPER's new file gets: set-id bits are only remembered."""
    return mode & ~<uint32_t>SETID_BITS if owners.on else mode

cdef void owners_made_upper(Tracee *t, const char *path, uint32_t mode, uint64_t since) noexcept nogil:
    """An overlay has made a name at a path of UPPER: record whose it is."""
    cdef Spot at, above
    cdef Truth parent, f
    cdef Maker m
    cdef char text[PATHMAX]
    cdef char *slash
    if S_ISDIR(mode):
        mode &= ~<uint32_t>SETID_BITS
    if not owners.on or making_is_plain(t, mode) or snprintf(text, sizeof(text), b"%s", path) >= PATHMAX:
        return
    slash = strrchr(text, c'/')
    if slash == NULL or copied_open(path, &at, &f) < 0:
        return
    slash[0] = 0
    if copied_open(host_named(text), &above, &parent) == 0:
        if maker_of(t, &parent, mode & 0o7777, S_ISDIR(mode), &m):
            made_here(t, &at, &m, since)
        free(m.list)
        spot_drop(&above)
    spot_drop(&at)
