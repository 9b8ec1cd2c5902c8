# Handlers of calls with two paths: link and rename, with the kernel's rules about mounts.

cdef enum:
    R_AGAIN = 4              # somebody has moved what one of the paths leads through: they are to be walked anew

cdef int two_paths(Tracee *t, const pyroot_row *row, int mode1, int *r1, int *r2) noexcept nogil:
    W1.resolve = W2.resolve = 0
    W1.pair = W2.pair = W1.removes = mode1 == M_CREATE
    W1.want_text = W2.want_text = True
    r1[0] = call_walk(&W1, t, dir_argument(t, row.dirfd), t.call.args[row.path], mode1)
    if r1[0] != -ESRCH:
        r2[0] = call_walk(&W2, t, dir_argument(t, row.dirfd2), t.call.args[row.path2], M_CREATE)
    W1.pair = W2.pair = W1.removes = W1.want_text = W2.want_text = False
    return -ESRCH if r1[0] == -ESRCH or r2[0] == -ESRCH else 0

cdef int commit_two(Tracee *t, const pyroot_row *row, int r1, int r2, bint last) noexcept nogil:
    cdef int error, p1 = r1, p2 = r2
    if tracees.count > 1 or names_move():
        p1 = pin_name(t, &W1, r1)
        p2 = pin_name(t, &W2, r2)
    if not last and ((p1 != r1 and has_moved(p1)) or (p2 != r2 and has_moved(p2))):
        after_drop(t)
        hold_drop(t)
        return R_AGAIN
    r1, r2 = p1, p2
    edit_start()
    error = put_path(&W1, r1, row.path)
    if error == 0:
        error = put_path(&W2, r2, row.path2)
    if error < 0:
        return answer(t, error)
    return finish_edit(t)

ctypedef int (*PairRule)(Tracee *, const pyroot_row *) noexcept nogil

cdef int judge_two(Tracee *t, const pyroot_row *row, PairRule first, PairRule then) noexcept nogil:
    """Ask the rules of two places, as judge does those of one: 0, the -errno of the first, or 1: it is done, and nothing was to do.

    The rules about mounts come before those of features, or after them, as the kernel has it.
    """
    cdef int result = first(t, row) if first != NULL and W1.valid and W2.valid else 0
    # (a path that leads nowhere comes before what features say of the other)
    if result == 0 and features.judges != 0 and W1.valid and W2.valid:
        result = features_judge(t, row, &W1)
        if result == 0:
            result = features_judge(t, row, &W2)
    if result == 0 and W1.valid and W2.valid:
        result = then(t, row)
    return result

cdef void link_from_fd(Tracee *t, int fd) noexcept nogil:
    """linkat of a descriptor: find out which binding its file lies in."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef ssize_t n
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    n = c_readlink(link, text, PATHMAX - 1)
    if n <= 0 or text[0] != c'/':
        return
    W1.magic_bi = view_from_host(W1.v, text, <int>n, fd_binding(W1.v, t, fd), W1.g, &W1.glen)
    W1.magic = W1.valid = True
    W1.isbind = False

cdef bint link_crosses(Walk *old, Walk *new) noexcept nogil:
    if new.bi < 0 or (is_proc(new.h, new.hlen) and not new.held):
        # a removed directory, or one where no name can be made: ENOENT comes first
        return False
    if old.magic:
        return old.magic_bi >= 0 and old.magic_bi != new.pbi
    # (of a removed directory, too, the binding is known)
    return walk_binding(old) != new.pbi

cdef int on_link(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int tries, most = walk_tries(), result = 0
    for tries in range(most + 1):
        result = link_once(t, row, tries == most)
        if result != R_AGAIN:
            break
    return result

cdef inline bint links_descriptor(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Say whether it is the file of a descriptor that gets another name (AT_EMPTY_PATH)."""
    return row.flags >= 0 and t.call.args[row.flags] & AT_EMPTY_PATH and W1.givenlen == 0

cdef int link_rules(Tracee *t, const pyroot_row *row) noexcept nogil:
    """The kernel's rules about mounts, in its order: old must exist, new must not, then their mounts are compared."""
    cdef c_stat st
    cdef bint there = links_descriptor(t, row) and W1.magic
    cdef int error
    if row.flags >= 0 and t.call.args[row.flags] & ~<uint64_t>(AT_SYMLINK_FOLLOW_ | AT_EMPTY_PATH):
        return 0
    if W2.isbind and W2.last == LAST_NORM and not there and fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) == 0:
        error = parent_stat(&W2, &st)
        return error if error < 0 else -EEXIST
    if link_crosses(&W1, &W2) and W2.last == LAST_NORM and not W2.slash:
        if ((there or fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) == 0) and parent_stat(&W2, &st) == 0
                and fstatat(AT_FDCWD, W2.h, &st, AT_SYMLINK_NOFOLLOW) < 0 and errno == ENOENT):
            return -EXDEV
    return 0

cdef int link_once(Tracee *t, const pyroot_row *row, bint last) noexcept nogil:
    cdef int r1, r2, error, mode = M_NOFOLLOW if row.final == F_CREATE else path_mode(row, t)
    if two_paths(t, row, mode, &r1, &r2) < 0:
        return R_DEAD
    if W1.valid and is_link(W1.h):
        note_link(t)
    if W2.valid and r1 == TR_PASS and not W1.valid and links_descriptor(t, row):
        link_from_fd(t, <int>t.call.args[row.dirfd])
    error = judge_two(t, row, NULL, link_rules)
    return answer(t, error) if error < 0 else commit_two(t, row, r1, r2, last)

cdef bint same_parent() noexcept nogil:
    cdef int n = W1.glen - W1.namelen
    return n == W2.glen - W2.namelen and memcmp(W1.g, W2.g, n) == 0

cdef bint name_writable(Walk *w) noexcept nogil:
    """Say whether the name may be written to, as far as that can be seen below what the machine has mounted there."""
    return accessible(AT_FDCWD, w.h, W_OK) == 0 or errno == ENOENT or is_mounted_on(w)

cdef int name_stat(Walk *w, c_stat *st) noexcept nogil:
    """lstat the name itself: a trailing slash would follow a link."""
    cdef char saved = w.h[w.placelen]
    cdef int result
    w.h[w.placelen] = 0
    result = fstatat(AT_FDCWD, w.h, st, AT_SYMLINK_NOFOLLOW)
    w.h[w.placelen] = saved
    return result

cdef int64_t parent_mount(Walk *w) noexcept nogil:
    """Return the number of the machine's mount that the directory of the last name lies in, or -errno."""
    cdef int64_t number
    # (of "." and ".." it is the directory that they are looked up in)
    cdef int cut = w.placelen - w.namelen if w.last == LAST_NORM else w.hlen if w.last == LAST_ROOT or w.placelen == 0 else w.placelen
    cdef char saved = w.h[cut]
    w.h[cut] = 0
    number = mount_id(AT_FDCWD, w.h, 0)
    w.h[cut] = saved
    return number

cdef bint is_mounted_on(Walk *w) noexcept nogil:
    """Say whether the machine has something mounted on the last name: whose the covered file is cannot be seen then."""
    cdef char saved = w.h[w.placelen]
    cdef int64_t number
    w.h[w.placelen] = 0
    number = mount_id(AT_FDCWD, w.h, AT_SYMLINK_NOFOLLOW)
    w.h[w.placelen] = saved
    return number >= 0 and number != parent_mount(w)

cdef bint mounts_differ() noexcept nogil:
    """Say whether the names of W1 and W2 lie in different mounts: bindings or the machine's own."""
    cdef int64_t one, two
    if W1.pbi != W2.pbi:
        return True
    one = parent_mount(&W1)
    two = parent_mount(&W2)
    return one >= 0 and two >= 0 and one != two

cdef int rename_busy(Tracee *t, bint exchange, bint noreplace) noexcept nogil:
    """Answer for a mount point that is renamed or replaced, and for what leads to one; 0: let the kernel decide."""
    cdef c_stat st, other
    cdef bint olddir, newdir, newthere
    cdef int error
    if parent_stat(&W1, &st) < 0 or parent_stat(&W2, &st) < 0:
        return 0
    if mounts_differ():
        return -EXDEV
    if W1.isbind:
        olddir = binding_isdir(&W1)
    elif name_stat(&W1, &st) < 0:
        return 0
    else:
        olddir = S_ISDIR(st.st_mode)
    newthere = W2.isbind or name_stat(&W2, &st) == 0
    if not newthere and errno != ENOENT:
        # (the kernel need not know the old name)
        return -errno if W1.isbind else 0
    newdir = binding_isdir(&W2) if W2.isbind else (newthere and S_ISDIR(st.st_mode))
    if noreplace and newthere:
        return -EEXIST
    if exchange and not newthere:
        return 0
    if not exchange and newthere and not W1.isbind and not W2.isbind and not W1.v.ambiguous and not (leads_to_binding(&W2) and olddir):
        return 0
    if exchange and not newdir and W2.slash:
        return -ENOTDIR
    if not olddir and (W1.slash or (W2.slash and not exchange)):
        return -ENOTDIR
    if W1.glen <= W2.glen and memcmp(W1.g, W2.g, W1.glen) == 0 and W2.g[W1.glen] == c'/':
        return -EINVAL
    if W2.glen <= W1.glen and memcmp(W1.g, W2.g, W2.glen) == 0 and W1.g[W2.glen] == c'/':
        return -EINVAL if exchange else -ENOTEMPTY
    if W1.isbind and W2.isbind and W1.glen == W2.glen and memcmp(W1.g, W2.g, W1.glen) == 0:
        # one and the same: done before anything is asked
        return 1
    if newthere and name_stat(&W1, &st) == 0 and name_stat(&W2, &other) == 0 and st.st_ino == other.st_ino and st.st_dev == other.st_dev:
        # the same by two names: below what is mounted there, as the kernel compares them
        return 1
    error = removable(&W1)
    if error == 0:
        error = removable(&W2) if newthere else parent_writable(&W2)
    if error < 0:
        return error
    if not exchange and newthere and olddir != newdir:
        return -ENOTDIR if olddir else -EISDIR
    # a directory that changes its parent must be writable itself: the covered one (made by root where it is not there)
    if not same_parent() and ((olddir and not name_writable(&W1)) or (exchange and newdir and not name_writable(&W2))):
        return -EACCES
    if W1.isbind or W2.isbind or is_covered(&W1) or is_covered(&W2) or is_mounted_on(&W1) or is_mounted_on(&W2):
        return -EBUSY
    return 0 if exchange or not newthere else -ENOTEMPTY

cdef int way_error(Tracee *t, Walk *w, int dirfd) noexcept nogil:
    """Return what the path to the last name gives: a name directly in the start of the walk is reached whatever is closed above that."""
    cdef char link[48]
    cdef c_stat st
    cdef int error = 0 if w.last == LAST_ROOT else parent_stat(w, &st)
    if error != -EACCES or w.base_hlen < 0 or w.placelen - w.namelen - 1 != w.base_hlen:
        return error
    if dirfd == AT_FDCWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd/.", t.tid)
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d/.", t.tid, dirfd)
    return -errno if fstatat(AT_FDCWD, link, &st, 0) < 0 else 0

cdef int rename_mounts(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Refuse to rename the root, and to rename from one mount to another."""
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    cdef c_stat st
    cdef int error
    if not rename_flags(flags):
        return 0
    if W1.last == LAST_ROOT or W2.last == LAST_ROOT:
        error = rename_root(t, row, flags & 1 != 0)
        if error < 0:
            return error
    if W1.v.n <= 1 and views.first == NULL:
        return 0
    if W1.pbi != W2.pbi and W1.pbi >= 0 and W2.pbi >= 0 and parent_stat(&W1, &st) == 0 and parent_stat(&W2, &st) == 0:
        return -EXDEV
    return 0

cdef int rename_places(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Refuse to rename a mount point, or what leads to one; 1: old and new are one and the same."""
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    if not rename_flags(flags) or (W1.v.n <= 1 and views.first == NULL):
        return 0
    if W1.last != LAST_NORM or W2.last != LAST_NORM or W1.pbi != W2.pbi:
        return 0
    if W1.isbind or W2.isbind or is_covered(&W1) or is_covered(&W2) or leads_to_binding(&W2):
        return rename_busy(t, flags & 2 != 0, flags & 1 != 0)
    return 0

cdef inline bint rename_flags(uint64_t flags) noexcept nogil:
    """Say whether renameat2 knows these flags together."""
    return flags < 6 and flags != 3

cdef bint rename_is_noted(bint exchange) noexcept nogil:
    """Say whether bindings may have to follow what the rename moves."""
    if not (W1.valid and W2.valid) or (W1.v.n <= 1 and views.first == NULL):
        return False
    if W1.last != LAST_NORM or W2.last != LAST_NORM or W1.pbi != W2.pbi:
        return False
    return (is_host_side(&W2) or leads_to_binding(&W1) or (exchange and leads_to_binding(&W2)) or W1.v.ambiguous
            or views_touched(&W1) or views_touched(&W2))

cdef int rename_root(Tracee *t, const pyroot_row *row, bint noreplace) noexcept nogil:
    """Answer for the root as a name: it is never looked up, so it need not be searchable.  0: let the kernel decide."""
    cdef int error
    if W1.pbi < 0 or W2.pbi < 0:
        return 0
    error = way_error(t, &W1, dir_argument(t, row.dirfd))
    if error == 0:
        error = way_error(t, &W2, dir_argument(t, row.dirfd2))
    if error < 0:
        return error
    if mounts_differ():
        return -EXDEV
    return -EEXIST if noreplace and W1.last == LAST_NORM else -EBUSY

cdef int on_rename(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int tries, most = walk_tries(), result = 0
    for tries in range(most + 1):
        result = rename_once(t, row, tries == most)
        if result != R_AGAIN:
            break
    return result

cdef int rename_once(Tracee *t, const pyroot_row *row, bint last) noexcept nogil:
    cdef int r1, r2, result
    cdef uint64_t flags = t.call.args[row.flags] if row.flags >= 0 else 0
    if two_paths(t, row, M_CREATE, &r1, &r2) < 0:
        return R_DEAD
    note_change()
    if tracees.count > 1:
        note_move(t, flags)
    result = judge_two(t, row, rename_mounts, rename_places)
    if result != 0:
        return answer(t, 0 if result > 0 else result)
    if rename_flags(flags) and rename_is_noted(flags & 2 != 0):
        keep_rename(t, flags & 2 != 0)
    if W1.valid and W1.last == LAST_ROOT and not W2.valid and r1 == TR_TEXT:
        # the other one decides: it must not matter whether the root may be searched
        memcpy(W1.h, b"/", 2)
        W1.hlen = 1
    return commit_two(t, row, r1, r2, last)

cdef struct RenameEnd:
    char *texts              # guest paths of both names, then host paths (owned)
    int g1, g2, h1, h2       # their lengths
    bint exchange

cdef void keep_rename(Tracee *t, bint exchange) noexcept nogil:
    """Note guest and host texts of both names, so that bindings can follow when the rename succeeded."""
    cdef int n = W1.glen + W2.glen + W1.placelen + W2.placelen
    cdef char *note = <char *>malloc(n + 8)
    cdef RenameEnd *e
    if note == NULL:
        return
    memcpy(note, W1.g, W1.glen)
    memcpy(note + W1.glen, W2.g, W2.glen)
    memcpy(note + W1.glen + W2.glen, W1.h, W1.placelen)
    memcpy(note + W1.glen + W2.glen + W1.placelen, W2.h, W2.placelen)
    e = <RenameEnd *>after(t, end_rename, 0)
    after_last(t).drop = drop_rename
    e.texts, e.g1, e.g2, e.h1, e.h2, e.exchange = note, W1.glen, W2.glen, W1.placelen, W2.placelen, exchange

cdef void drop_rename(After *a) noexcept nogil:
    free((<RenameEnd *>a.data).texts)

cdef int end_rename(Tracee *t, After *a, int64_t result) noexcept nogil:
    cdef RenameEnd *e = <RenameEnd *>a.data
    cdef char *g1 = e.texts
    cdef char *g2 = g1 + e.g1
    cdef char *h1 = g2 + e.g2
    cdef char *h2 = h1 + e.h1
    if result == 0:
        view_moved(W1.v, g1, e.g1, g2, e.g2, h1, e.h1, h2, e.h2, e.exchange)
        views_renamed(h1, e.h1, h2, e.h2, e.exchange)
    return R_CONT
