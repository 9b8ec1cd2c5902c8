# Owners, modes and devices that are remembered: what root does to files, for a user who may not.
#
# A record of the store (pyroot/store) says what guests see of a file where that differs from the default; the disk keeps only what is safe
# there.  Calls that ask or change such things are answered by the supervisor, on a descriptor of its own, in one stop; what the kernel does
# itself (opening, making, removing names) is judged where the walk has found the place.
#
# The text that switches it on: the path of the store ("" for one in memory), and in lines after it, if they are given, the default
# owner's user and group, and the host path of what guests do not see.
#
# Decides: which calls it has a say in.

include "owners/truth.pxi"
include "owners/who.pxi"
include "owners/rights_lists.pxi"
include "owners/places.pxi"
include "owners/looks.pxi"
include "owners/rights.pxi"
include "owners/making.pxi"
include "owners/opens.pxi"
include "owners/xattrs.pxi"
include "owners/copied.pxi"
include "owners/lists.pxi"
include "owners/executing.pxi"
include "owners/gating.pxi"
include "owners/door.pxi"

cdef char owners_hidden[PATHMAX]

cdef const char *next_line(const char *text) noexcept nogil:
    """Return the next line of a text, an empty one at the end."""
    cdef const char *end = strchr(text, c'\n')
    return end + 1 if end != NULL else text + strlen(text)

cdef void owners_begin(View *v, const char *text) noexcept nogil:
    """Open the store, or leave everything as it is."""
    cdef char path[PATHMAX]
    cdef const char *line
    cdef int n, error
    owners_close()
    memset(&owners, 0, sizeof(owners))
    set_way_opener(NULL)
    set_way_judge(NULL)
    set_socket_judge(NULL)
    layers_tell_raised(NULL)
    hide_host(v, NULL)
    owners.on = text != NULL
    executing_begin(owners.on)
    owners.root.path[0] = owners.session.path[0] = 0
    if text == NULL:
        return
    line = next_line(text)
    n = <int>(line - text) if line[0] == 0 and (line == text or (line - 1)[0] != c'\n') else <int>(line - text) - 1
    n = n if 0 <= n < PATHMAX else 0
    memcpy(path, text, n)
    path[n] = 0
    if line[0] != 0:
        owners.uid = <uint32_t>strtoul(line, NULL, 10)
        line = next_line(line)
        owners.gid = <uint32_t>strtoul(line, NULL, 10) if line[0] != 0 else owners.uid
        line = next_line(line)
    owners.us = c_geteuid()
    # (below a root that is read-only, or an overlay's, nothing is changed on the disk)
    owners.keeps = v.b[0].hostlen > 0 and not is_others(v, 0)
    owners.links_guarded = setting_read(b"/proc/sys/fs/protected_hardlinks", 0) != 0
    hide_store(v, path, line)
    error = store_begin_at(v, path)
    if error < 0:
        features.failed = store_trouble(error)
    else:
        if is_others(v, 0):
            # (changes are for this session)
            store_refuse(&owners.root, EROFS)
        gating_begin()
        layers_tell_raised(owners_raised)
    set_way_opener(owners_way)
    set_way_judge(who_passes)
    set_socket_judge(who_connects)

cdef void owners_close() noexcept nogil:
    """The session is over: what it has changed goes to the disk."""
    if owners.on:
        store_close(&owners.root)
        store_close(&owners.session)
    owners.on = False

cdef void hide_store(View *v, const char *path, const char *line) noexcept nogil:
    """Note what guests do not see: the folder of a store that lies in the root."""
    cdef char *slash
    snprintf(owners_hidden, sizeof(owners_hidden), b"%s", line if line[0] != 0 else path)
    if line[0] == 0:
        slash = strrchr(owners_hidden, c'/')
        if slash != NULL:
            slash[0] = 0
        if slash == NULL or not ends_with(owners_hidden, b"/.pyroot"):
            owners_hidden[0] = 0
    elif owners_hidden[strlen(owners_hidden) - 1] == c'\n':
        owners_hidden[strlen(owners_hidden) - 1] = 0
    hide_host(v, owners_hidden)

cdef const char *store_trouble(int error) noexcept nogil:
    """Say what is wrong with a store, and what to do."""
    if error == -STORE_DAMAGED:
        return b"the owners remembered for this root are damaged: `pyroot owners check` tells what is left of them"
    if error == -STORE_OTHER_VERSION:
        return b"the owners remembered for this root are of another version of pyroot: let that one save them, then load that"
    if error == -STORE_OTHER_USER:
        return b"the owners remembered for this root are another user's: run as that one, or name another file with --fake-root"
    if error == -STORE_OTHER_ROOT:
        return b"the owners remembered here are of another directory (a moved or copied root): `pyroot owners check` finds its files again"
    return b"the owners remembered for this root cannot be read"

cdef bint ends_with(const char *text, const char *end) noexcept nogil:
    cdef size_t n = strlen(text), k = strlen(end)
    return n >= k and memcmp(text + n - k, end, k) == 0

cdef int store_begin_at(View *v, const char *path) noexcept nogil:
    """Open both stores; 0 or an error of the first."""
    cdef file_facts root
    cdef int error = facts_look(v.b[0].fd, b"", 0, 0, &root)
    store_open(&owners.session, b"", b"", 0, 0, 0)
    if error < 0:
        return error
    return store_open(&owners.root, path, v.b[0].host, root.dev, root.ino, facts_handle(v.b[0].fd, False))

cdef int owners_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Answer a call, or leave it to its handler (TAKE_NOT)."""
    cdef int result
    told.known = False
    result = owners_answer(t, row)
    if result == TAKE_NOT:
        hold_drop(t)
        W1.valid = False
    return result

cdef int owners_answer(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef uint64_t nr = t.call.nr
    if is_look(nr):
        return look_take(t, row)
    if nr == NR_access or nr == NR_faccessat or nr == NR_faccessat2:
        return access_take(t, row)
    if nr == NR_chown or nr == NR_lchown or nr == NR_fchown or nr == NR_fchownat:
        return chown_take(t, row)
    if nr == NR_chmod or nr == NR_fchmod or nr == NR_fchmodat or nr == NR_fchmodat2:
        return chmod_take(t, row)
    if nr == NR_mknod or nr == NR_mknodat:
        return mknod_take(t, row)
    if nr == NR_utime or nr == NR_utimes or nr == NR_futimesat or nr == NR_utimensat:
        return times_take(t, row)
    if nr == NR_chdir or nr == NR_truncate or nr == NR_execve or nr == NR_execveat:
        return enter_take(t, row)
    return attr_take(t, row) if find_text(row.name, b"xattr") != NULL else TAKE_NOT

cdef int owners_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """A call goes on: correct what a look tells."""
    if t.call.nr == NR_getdents or t.call.nr == NR_getdents64:
        return list_call(t, outcome)
    return look_call(t, row, outcome) if is_look(t.call.nr) else outcome

cdef int owners_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """Judge a place that the kernel is about to open, to make or to remove."""
    if row.effect == E_OPEN:
        return open_judge(t, w) if row.handler != H_OPEN_TREE else 0
    return name_judge(t, row, w) if row.effect == E_NAME or t.call.nr == NR_bind else 0

cdef void feature_owners(Feature *f) noexcept nogil:
    f.begin = owners_begin
    f.close = owners_close
    f.take = owners_take
    f.call = owners_call
    f.judge = owners_judge
