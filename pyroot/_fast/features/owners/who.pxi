# Who asks: what the rules about files have to know of a task (credentials(7)).
#
# Decides: that whoever is in a session without ids of its own (features/ids.pxi) is its first user, who has every capability if that is
# root.

cdef enum:
    CAP_CHOWN_ = 0
    CAP_FOWNER_ = 3
    CAP_FSETID_ = 4
    CAP_MKNOD_ = 27
    CAP_SETFCAP_ = 31
    CAP_SYS_ADMIN_OWN = 21

cdef inline uint32_t who_uid(Tracee *t) noexcept nogil:
    return cred_fsuid(t) if creds.on else owners.uid

cdef inline uint32_t who_gid(Tracee *t) noexcept nogil:
    return cred_fsgid(t) if creds.on else owners.gid

cdef inline bint who_in_group(Tracee *t, uint32_t gid) noexcept nogil:
    return cred_in_group(t, gid) if creds.on else gid == owners.gid

cdef inline bint who_may(Tracee *t, int cap) noexcept nogil:
    return cred_capable(t, cap) if creds.on else owners.uid == 0

cdef inline bint who_is_plain(Tracee *t) noexcept nogil:
    """Say whether everything that is ours is this one's: what it makes has the default owner, and no file is closed to it."""
    return who_uid(t) == owners.uid and who_gid(t) == owners.gid

cdef int who_rights(Tracee *t, const Truth *f, int wanted) noexcept nogil:
    """Judge by owner and mode, and by capabilities, as generic_permission() in fs/namei.c: 0 or -EACCES; ``wanted``: R_OK, W_OK, X_OK."""
    cdef int bits = f.mode & 7, listed = 1
    if who_uid(t) == f.uid:
        bits = f.mode >> 6 & 7
    else:
        listed = list_rights(t, f, wanted)
        if listed == 1 and who_in_group(t, f.gid):
            bits = f.mode >> 3 & 7
    if listed == 0 or (listed == 1 and wanted & ~bits == 0):
        return 0
    if who_may(t, CAP_DAC_READ_SEARCH_) and (wanted == R_OK or (S_ISDIR(f.mode) and not wanted & W_OK)):
        return 0
    if not who_may(t, CAP_DAC_OVERRIDE_):
        return -EACCES
    return -EACCES if wanted & X_OK and not S_ISDIR(f.mode) and not f.mode & 0o111 else 0

cdef int who_passes(Walk *w, bint asks) noexcept nogil:
    """Judge by the record whether a directory may be searched; ``asks``: whether that has to be done at every step."""
    cdef Truth f
    cdef Tracee *t = tracee_get(w.tid)
    if t == NULL or who_may(t, CAP_DAC_OVERRIDE_):
        return 0
    if asks:
        return -EACCES
    if truth_of(&f, w.dfd, walk_rel(w), 0, 0) < 0 or not (ours(&f) or f.found) or not S_ISDIR(f.mode):
        return 0
    if f.disk.dev == proc_dev and not who_in_proc(t, w, &f):
        return 0
    return who_rights(t, &f, X_OK)

cdef bint who_in_proc(Tracee *t, const Walk *w, Truth *f) noexcept nogil:
    """Find out whose a directory of /proc is; False: whoever asks may search it (proc_fd_permission: a process its own)."""
    cdef Tracee *task = guest_of(t.view, task_of_proc(w.h, w.hlen))
    if task == NULL or task.tgid == t.tgid:
        return False
    f.uid, f.gid = cred_of(task).uid[ID_EFFECTIVE], cred_of(task).gid[ID_EFFECTIVE]
    if f.mode & 0o7777 != 0o555 and task.mm != NULL and task.mm.undumpable != 0:
        f.uid = f.gid = 0
    return True

cdef inline bint who_owns(Tracee *t, const Truth *f) noexcept nogil:
    """inode_owner_or_capable()"""
    return who_uid(t) == f.uid or who_may(t, CAP_FOWNER_)
