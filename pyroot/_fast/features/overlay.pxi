# Overlays: what is written goes to UPPER, in overlayfs' format (pyroot/layers); the walk finds the layer of a name (walk/over.pxi).
#
# A call that would change a lower file is preceded by the copy-up, and then finds UPPER's file; names are made, removed and moved by the
# supervisor, which answers.  Nothing is kept between calls but which names UPPER may have.
#
# Decides: which calls are whose business in this folder, and that nothing of a lower layer changes whatever else goes wrong.

include "overlay/spots.pxi"
include "overlay/names.pxi"
include "overlay/moves.pxi"
include "overlay/writes.pxi"
include "overlay/merges.pxi"
include "overlay/shows.pxi"

cdef void overlay_begin(View *v, const char *text) noexcept nogil:
    """They are on where a binding of the view is an overlay."""
    cdef int i
    overlays.n = 0
    overlays.blind = overlays.raised = False
    layers_tell(NULL, NULL)
    memset(layers_names, 0, LAYERS_WORDS * 8)
    memset(layers_numbers, 0, LAYERS_NUMBERS * 8)
    for i in range(v.n):
        if v.b[i].over == NULL:
            continue
        overlays.n += 1
        layers_scan(v.b[i].over, b"", 0)
        overlays.blind = overlays.blind or v.b[i].over.n > 2 or v.b[i].over.strict
    v.overs = overlays.n
    if overlays.n > 0:
        v.features |= FEATURE_OVERLAY | FEATURE_MERGED

cdef void overlay_close() noexcept nogil:
    overlays.n = 0
    overlays.blind = False
    layers_tell(NULL, NULL)
    merges_forget()

cdef int overlay_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Calls that change something."""
    if overlays.n == 0:
        return TAKE_NOT
    overlays.raised = overlays.lenient = False
    overlays.asker = t if owners_on() else NULL
    if row.effect == E_NAME:
        return over_named(t, row)
    if row.effect == E_RIGHTS or row.effect == E_WRITE:
        return over_changed(t, row)
    if row.effect == E_ENTER:
        return over_entered(t, row) if overlays.blind else TAKE_NOT
    return over_handle(t, row) if t.call.nr == NR_name_to_handle_at else TAKE_NOT

cdef int overlay_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """The net: whatever has not been copied up may not be changed.  Sockets are made by the kernel: their directory is seen to."""
    cdef c_stat st
    cdef layers *o = over_of(w)
    if o == NULL or w.magic or w.held or w.last != LAST_NORM or w.isbind or is_readonly(w.v, w.bi):
        return 0
    overlays.asker = t if owners_on() else NULL
    if t.call.nr == NR_bind:
        return over_bound(w)
    if layers_of(o, w.h, w.placelen) <= 0:
        return 0
    if row.effect == E_OPEN:
        return net_open(w)
    if row.effect == E_NAME:
        return net_name(t, row, w)
    if row.effect == E_WRITE and length_is_negative(t, row):
        return 0
    if (row.effect == E_WRITE or (row.effect == E_RIGHTS and rights_change(t, row))) and name_stat(w, &st) == 0:
        if S_ISLNK(st.st_mode) or (w.slash and not S_ISDIR(st.st_mode)) or (row.effect == E_WRITE and not S_ISREG(st.st_mode)):
            return 0
        return -EROFS if over_would_change(t, row, w.h, &st) else 0
    return 0

cdef int net_name(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """Names: as below a read-only mount, but what is there or is not says the kernel."""
    cdef c_stat st
    if (row.handler == H_RENAME or row.handler == H_LINK) and (W1.isbind or W2.isbind or W1.pbi != W2.pbi):
        return 0
    if row.handler == H_RENAME and name_stat(&W1, &st) < 0:
        return 0
    if row.handler == H_LINK and W1.valid and fstatat(AT_FDCWD, W1.h, &st, AT_SYMLINK_NOFOLLOW) == 0 and S_ISDIR(st.st_mode):
        return 0
    if row.remove != REMOVE_NONE and row.handler != H_RENAME and name_stat(w, &st) < 0:
        return 0
    return readonly_name(t, row, w)

cdef int net_open(Walk *w) noexcept nogil:
    cdef c_stat st
    cdef uint64_t flags = judged.flags
    if flags & O_PATH:
        return 0
    if flags & (O_CREAT | O_DIRECTORY) == (O_CREAT | O_DIRECTORY):
        # (kernels before 6.4 make a file)
        return -EINVAL
    if opens_in_vain(flags):
        return 0
    if name_stat(w, &st) < 0:
        return -EROFS if errno == ENOENT and flags & O_CREAT and not w.slash and parent_stat(w, &st) == 0 else 0
    if flags & (O_CREAT | O_EXCL) == (O_CREAT | O_EXCL):
        return 0
    if S_ISDIR(st.st_mode):
        if flags & O_ACCMODE == O_RDONLY:
            return 0
        return -EROFS if flags & O_TMPFILE_ & ~<uint64_t>O_DIRECTORY and flags & O_DIRECTORY else 0
    if not S_ISREG(st.st_mode) or flags & O_DIRECTORY or not (flags & O_TRUNC or flags & O_ACCMODE != O_RDONLY):
        return 0
    return -EROFS if accessible(AT_FDCWD, w.h, W_OK) == 0 else 0

cdef int merged_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Calls that look, and opens."""
    if overlays.n == 0:
        return TAKE_NOT
    overlays.raised = overlays.lenient = False
    overlays.asker = t if owners_on() else NULL
    if row.effect == E_OPEN:
        return over_opened(t, row)
    if t.call.nr == NR_getdents or t.call.nr == NR_getdents64:
        return over_listed(t)
    if over_is_look(t.call.nr):
        return owners_shown(t, row, over_looked(t, row))
    return over_attribute(t, row) if statfs_flags(t) < 0 else TAKE_NOT

cdef int merged_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """A look by path is about to be made."""
    if overlays.n > 0 and statfs_flags(t) >= 0:
        return over_statfs(t, row, outcome)
    return over_shown(t, row, outcome) if overlays.n > 0 and over_is_look(t.call.nr) and t.call.nr != NR_fstat else outcome

cdef void feature_overlay(Feature *f) noexcept nogil:
    f.begin = overlay_begin
    f.close = overlay_close
    f.take = overlay_take
    f.judge = overlay_judge

cdef void feature_merged(Feature *f) noexcept nogil:
    f.take = merged_take
    f.call = merged_call
