# Who a task is after execve(2): set-user-ID, set-group-ID and file capabilities (prepare_binprm in fs/exec.c, cap_bprm_creds_from_file
# in security/commoncap.c), and what the program reads of that in its auxiliary vector.
#
# Decides: the new record, when the execve is planned; it is the task's from the exec event on.

cdef enum:
    XATTR_CAPS_MOST = 24     # bytes of the attribute

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t c_getxattr "getxattr"(const char *, const char *, void *, size_t)

cdef int rights_on_disk(int fd, ExecRights *r) noexcept nogil:
    """What a program is by the disk: our own files are the first user's (exec_rights may know better)."""
    cdef char link[40]
    cdef uint32_t data[6]
    cdef c_stat st
    cdef ssize_t n
    memset(r, 0, sizeof(ExecRights))
    if fd < 0 or c_fstat(fd, &st) < 0:
        return -ESTALE_
    r.mode = st.st_mode
    r.uid = creds.owner_uid if st.st_uid == c_geteuid() else st.st_uid
    r.gid = creds.owner_gid if st.st_gid == pyroot_real_gid() else st.st_gid
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
    n = c_getxattr(link, b"security.capability", data, sizeof(data))
    if n >= 20 and 2 <= data[0] >> 24 <= 3:
        r.capable = True
        r.effective = data[0] & 1 != 0
        r.permitted = (<uint64_t>data[3] << 32 | data[1]) & creds.known
        r.inheritable = (<uint64_t>data[4] << 32 | data[2]) & creds.known
    return 0

cdef enum:
    ESTALE_ = 116

cdef bint may_elevate(Tracee *t, int fd) noexcept nogil:
    """Say whether a program's set-id bits and capabilities count for this task."""
    cdef c_statvfs fs
    return not cred_of(t).no_new_privs and not (fd >= 0 and c_fstatvfs(fd, &fs) == 0 and fs.f_flag & ST_NOSUID)

cdef bint is_traced_by_less(Tracee *t) noexcept nogil:
    """Say whether a guest without CAP_SYS_PTRACE traces the task (ptracer_capable)."""
    cdef Tracee *tracer = tracee_get(t.ptrace.tracer) if t.ptrace != NULL else NULL
    return tracer != NULL and not cred_has(cred_of(tracer), CAP_SYS_PTRACE_KEY)

cdef bint shares_fs(Tracee *t) noexcept nogil:
    """Say whether a task of another process has the same root and working directory (check_unsafe_exec)."""
    cdef int i, k, others = 0
    if t.fs == NULL or t.fs.refs <= 1:
        return False
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            if tracees.leaf[i][k] != NULL and tracees.leaf[i][k].fs == t.fs and tracees.leaf[i][k].tgid != t.tgid:
                others += 1
    return others > 0

cdef void caps_of_root(Cred *new, const Cred *old, const ExecRights *r, bint *effective) noexcept nogil:
    """handle_privileged_root."""
    if old.bits & SECURE_NOROOT:
        return
    if r.capable and new.uid[ID_EFFECTIVE] == 0 and new.uid[ID_REAL] != 0:
        # (a program with capabilities that is set-user-ID root as well has the former only)
        return
    if new.uid[ID_EFFECTIVE] == 0 or new.uid[ID_REAL] == 0:
        new.caps[CAPS_PERMITTED] = old.caps[CAPS_BOUNDING] | old.caps[CAPS_INHERITABLE]
    if new.uid[ID_EFFECTIVE] == 0:
        effective[0] = True

cdef long cred_executes(Tracee *t, Cred *new, const ExecRights *r, bint elevates, bint *secure) noexcept nogil:
    """Turn the copy of a task's record into what the new program has; 0 or -EPERM."""
    cdef const Cred *old = cred_of(t)
    cdef uint64_t gained, ambient = old.caps[CAPS_AMBIENT]
    cdef bint capable = r.capable and elevates, effective = False, setid, limited
    if elevates and r.mode & S_ISUID:
        new.uid[ID_EFFECTIVE] = r.uid
    if elevates and r.mode & (S_ISGID | S_IXGRP) == (S_ISGID | S_IXGRP):
        new.gid[ID_EFFECTIVE] = r.gid
    new.caps[CAPS_PERMITTED] = 0
    if capable:
        new.caps[CAPS_PERMITTED] = (r.permitted & old.caps[CAPS_BOUNDING]) | (r.inheritable & old.caps[CAPS_INHERITABLE])
        effective = r.effective
        if effective and r.permitted & ~new.caps[CAPS_PERMITTED]:
            return -EPERM
    caps_of_root(new, old, r if capable else &no_rights, &effective)
    gained = new.caps[CAPS_PERMITTED] & ~old.caps[CAPS_PERMITTED]
    if creds.kernel >= 6016:
        setid = new.uid[ID_EFFECTIVE] != old.uid[ID_EFFECTIVE] or not (new.gid[ID_EFFECTIVE] == old.gid[ID_FS]
                                                                      or cred_in_list(old, new.gid[ID_EFFECTIVE]))
    else:
        setid = new.uid[ID_EFFECTIVE] != old.uid[ID_REAL] or new.gid[ID_EFFECTIVE] != old.gid[ID_REAL]
    limited = old.no_new_privs or is_traced_by_less(t) or shares_fs(t)
    if (setid or gained) and limited:
        if not cred_has(old, CAP_SETUID_) or old.no_new_privs:
            new.uid[ID_EFFECTIVE] = new.uid[ID_REAL]
            new.gid[ID_EFFECTIVE] = new.gid[ID_REAL]
        new.caps[CAPS_PERMITTED] &= old.caps[CAPS_PERMITTED]
    new.uid[ID_SAVED] = new.uid[ID_FS] = new.uid[ID_EFFECTIVE]
    new.gid[ID_SAVED] = new.gid[ID_FS] = new.gid[ID_EFFECTIVE]
    if capable or setid:
        ambient = 0
    new.caps[CAPS_AMBIENT] = ambient
    new.caps[CAPS_PERMITTED] |= ambient
    new.caps[CAPS_EFFECTIVE] = new.caps[CAPS_PERMITTED] if effective else ambient
    new.bits &= ~<uint32_t>SECURE_KEEP_CAPS
    secure[0] = (setid or new.uid[ID_EFFECTIVE] != old.uid[ID_REAL] or new.gid[ID_EFFECTIVE] != old.gid[ID_REAL]
                 or (new.uid[ID_REAL] != 0 and (effective or new.caps[CAPS_PERMITTED] & ~ambient != 0)))
    return 0

cdef ExecRights no_rights    # of a file that has none

cdef bint closes_memory(const Cred *old, const Cred *new) noexcept nogil:
    """Say whether the new program cannot be looked into (begin_new_exec, commit_creds)."""
    if new.uid[ID_EFFECTIVE] != new.uid[ID_REAL] or new.gid[ID_EFFECTIVE] != new.gid[ID_REAL]:
        return True
    if old.uid[ID_EFFECTIVE] != new.uid[ID_EFFECTIVE] or old.gid[ID_EFFECTIVE] != new.gid[ID_EFFECTIVE]:
        return True
    if old.uid[ID_FS] != new.uid[ID_FS] or old.gid[ID_FS] != new.gid[ID_FS]:
        return True
    return new.caps[CAPS_PERMITTED] & ~old.caps[CAPS_PERMITTED] != 0

cdef int ids_plan(Tracee *t, ExecPlan *plan) noexcept nogil:
    """Write down who the task is once the planned program runs; 0 or -errno."""
    cdef ExecRights r
    cdef Cred new = cred_of(t)[0]
    cdef bint secure = False
    cdef int i, fd = plan.exe.fd
    cdef long result = exec_rights(t, fd, &r) if exec_rights != NULL else -1
    if result < 0 and rights_on_disk(fd, &r) < 0:
        r = no_rights
    result = cred_executes(t, &new, &r, may_elevate(t, fd), &secure)
    if result < 0:
        return <int>result
    if closes_memory(cred_of(t), &new):
        plan.undumpable = dumpable_kept(creds.suid_dumpable)
    plan.info.flags |= LI_IDS
    for i in range(2):
        plan.info.ids[i] = new.uid[i]
        plan.info.ids[2 + i] = new.gid[i]
    plan.info.secure = secure
    plan.cred = cred_new(&new)
    return 0 if plan.cred != NULL else -ENOMEM

cdef void ids_exec(Tracee *t, int old) noexcept nogil:
    """The program runs: the task is who it is to be."""
    if creds.on and t.call.plan != NULL and t.call.plan.cred != NULL:
        cred_drop(t.cred)
        t.cred = t.call.plan.cred
        t.call.plan.cred = NULL
