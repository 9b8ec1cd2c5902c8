# Several views in one session: the supervisor's own, and those that pyroots among its guests have handed to it (handed.pxi).
#
# Each tracee has one view; the walks use the view of the tracee that is stopped.  Views form a tree: the guests of a view see those of
# the views inside it as fellow guests, as two supervisors would have it, and all others as processes outside.  What a view does not show is
# told in the terms of the view around it.  A session without handed views pays one comparison per stop.
#
# Decides: who belongs to which view, how long a view lives, and what a change of names means for all of them.

cdef enum:
    VIEWS_MOST = 256         # handed over at a time

cdef inline void view_use(View *v) noexcept nogil:
    """Make the walks use a view."""
    W1.v = W2.v = W3.v = v

cdef bint view_within(const View *inner, const View *outer) noexcept nogil:
    while inner != NULL and inner != outer:
        inner = inner.parent
    return inner != NULL

cdef inline Tracee *guest_of(View *v, int tid) noexcept nogil:
    """Return the guest with this tid as a guest of the view sees it: NULL for one of a view outside."""
    cdef Tracee *t = tracee_get(tid)
    return t if t == NULL or t.view == v or view_within(t.view, v) else NULL

cdef View *view_around(View *v, const View *other) noexcept nogil:
    """Return the smallest view that both lie in."""
    while v.parent != NULL and not view_within(other, v):
        v = v.parent
    return v

cdef int view_keeper(const View *v, const View *inner) noexcept nogil:
    """Return the pyroot that traces the guests of an inner view, as the guests of ``v`` would see it; 0 for guests of ``v`` itself."""
    while inner != NULL and inner != v and inner.parent != v:
        inner = inner.parent
    return inner.owner if inner != NULL and inner != v else 0

# -- members -----------------------------------------------------------------------------------------------------------------

cdef inline void view_join(Tracee *t, View *v) noexcept nogil:
    t.view = v
    if v != views.base:
        v.users += 1
        if v.ended:
            c_kill(t.tid, SIGKILL)

cdef void view_left(View *v) noexcept nogil:
    """One user fewer, a tracee or a view inside; the last one ends what the view's pyroot waits for."""
    v.users -= 1
    if v.users == 0 and (v.entered or v.owner == 0):
        view_drop(v)

cdef void view_drop(View *v) noexcept nogil:
    cdef View **link = &views.first
    cdef View *parent = v.parent
    while link[0] != v:
        link = &link[0].next
    link[0] = v.next
    views.count -= 1
    if W1.v == v:
        view_use(views.base)
    if v.life >= 0:
        c_close(v.life)
    view_free(v)
    free(v)
    if parent != views.base:
        view_left(parent)

cdef View *view_handed(int id, int owner) noexcept nogil:
    """Find the view that a process has handed over."""
    cdef View *v = views.first
    while v != NULL and not (v.id == id and v.owner == owner):
        v = v.next
    return v

cdef void view_end(View *v) noexcept nogil:
    """Kill all guests of a view and of those inside it, also those that are just being born."""
    cdef View *inner = views.first
    cdef int i, k
    while inner != NULL:
        if view_within(inner, v):
            inner.ended = True
        inner = inner.next
    for i in range(TID_TOP):
        if tracees.leaf[i] == NULL:
            continue
        for k in range(TID_LEAF):
            if tracees.leaf[i][k] != NULL and view_within(tracees.leaf[i][k].view, v):
                c_kill(tracees.leaf[i][k].tid, SIGKILL)

cdef void views_owner_gone(int tid) noexcept nogil:
    """The pyroot that handed a view over is dead: so are its guests, as PTRACE_O_EXITKILL has it."""
    cdef View *v = views.first
    while v != NULL:
        if v.owner != tid:
            v = v.next
            continue
        v.owner = 0
        view_end(v)
        if v.users == 0:
            view_drop(v)
        # views around it may have gone with it
        v = views.first

cdef void views_clear() noexcept nogil:
    """At the end of the session, when no tracee is left."""
    while views.first != NULL:
        views.first.parent = views.base
        view_drop(views.first)

cdef bint is_command(int tid) noexcept nogil:
    """Say whether a tracee is the command: the supervisor's own, or that of the pyroot which is the command."""
    cdef Tracee *t
    while tid != session.main_tid:
        t = tracee_get(tid)
        if t == NULL or t.view == views.base or t.tid != t.tgid or t.parent_tgid != t.view.owner:
            return False
        tid = t.view.owner
    return True

# -- names that change ----------------------------------------------------------------------------------------------------------

cdef bint views_touched(Walk *w) noexcept nogil:
    """Say whether a binding of another view shows the place or something below it, also where only its descriptor could tell."""
    cdef View *v = views.first
    cdef const char *host = w.h
    cdef int i, n = w.placelen
    if v == NULL or w.held:
        return v != NULL
    if W1.v != views.base:
        v = views.base
    while v != NULL:
        for i in range(v.n if v != W1.v else 0):
            if v.b[i].hostlen >= n and memcmp(v.b[i].host, host, n) == 0 and (v.b[i].hostlen == n or v.b[i].host[n] == c'/'):
                return True
        v = views.first if v == views.base else v.next
    return False

cdef void views_removed(uint64_t host) noexcept nogil:
    """A host path is gone."""
    cdef View *v = views.first
    view_removed(views.base, host)
    while v != NULL:
        view_removed(v, host)
        v = v.next
    views_look()

cdef void views_look() noexcept nogil:
    """Take the host paths of handed views from their descriptors: their guests may move what lies above, by names we cannot compare."""
    cdef View *v = views.first
    cdef int i
    cdef bint changed
    while v != NULL:
        changed = False
        for i in range(v.n):
            changed |= bind_follow(v, i)
        if changed:
            view_rebuild(v)
        v = v.next

cdef void views_renamed(const char *h1, int n1, const char *h2, int n2, bint exchange) noexcept nogil:
    """A rename by a guest, for the views of others."""
    cdef View *v = views.base
    cdef char *g1
    cdef char *g2
    cdef int k1 = 0, k2 = 0
    if views.first == NULL:
        return
    g1 = <char *>malloc(2 * BUF)
    if g1 == NULL:
        return
    g2 = g1 + BUF
    while v != NULL:
        if v != W1.v:
            # what a view does not show has a name there that no path has
            if view_from_host(v, h1, n1, -1, g1, &k1) < 0:
                g1[0], k1 = 2, 1
            if view_from_host(v, h2, n2, -1, g2, &k2) < 0:
                g2[0], k2 = 3, 1
            view_moved(v, g1, k1, g2, k2, h1, n1, h2, n2, exchange)
        v = views.first if v == views.base else v.next
    free(g1)
    views_look()

cdef void view_moved(View *v, const char *g1, int k1, const char *g2, int k2, const char *h1, int n1, const char *h2, int n2,
                     bint exchange) noexcept nogil:
    """Carry the bindings of one view along with a rename, or with an exchange."""
    cdef const char *aside = b"\001"
    if v.ambiguous and view_mounts_moved(v, h1, n1, h2, n2, exchange):
        # by whatever name they are reached
        k1 = k2 = 0
    if exchange:
        # the first aside, the second to the first's place, the first to the second's
        view_renamed(v, g1, k1, aside, 1, h1, n1, aside, 1)
        view_renamed(v, g2, k2, g1, k1, h2, n2, h1, n1)
        view_renamed(v, aside, 1, g2, k2, aside, 1, h2, n2)
    else:
        view_removed(v, hash_more(FNV, h2, n2))
        view_renamed(v, g1, k1, g2, k2, h1, n1, h2, n2)
    if v.ambiguous:
        view_find_lost(v)

cdef struct Rename:
    const char *h1           # host paths
    const char *h2
    int n1, n2
    bint exchange

cdef bint view_mounts_moved(View *v, const char *h1, int n1, const char *h2, int n2, bint exchange) noexcept nogil:
    """Give all mount points below a renamed directory their new guest paths, in each binding that shows the old name."""
    cdef char *text = <char *>malloc(BUF)
    cdef char **told = <char **>calloc(v.n, sizeof(char *))
    cdef Rename r
    cdef int i, n
    cdef bint changed = False, able = text != NULL and told != NULL
    r.h1, r.n1, r.h2, r.n2, r.exchange = h1, n1, h2, n2, exchange
    for i in range(1, v.n if able else 0):
        n = mount_moved(v, i, &r, text)
        if n >= 0 and (n != v.b[i].guestlen or memcmp(text, v.b[i].guest, n) != 0):
            told[i] = dup_bytes(text, n)
    for i in range(1, v.n if able else 0):
        if told[i] != NULL and told[i][1] == c'/' and strchr(told[i] + 2, c'/') == NULL:
            mount_lost(v, i, text)
    for i in range(1, v.n if able else 0):
        if told[i] != NULL:
            free(v.b[i].guest)
            v.b[i].guest = told[i]
            v.b[i].guestlen = <int>strlen(told[i])
            changed = True
    free(told)
    free(text)
    if changed:
        view_rebuild(v)
    return able

cdef bint name_moves(const Bind *over, const char *rest, int k, const char *host, int n) noexcept nogil:
    """Say whether a name in a binding (``rest``, with its slash) is, or lies below, a host path within that binding."""
    n -= over.hostlen
    if n <= 0 or k < n or memcmp(host, over.host, over.hostlen) != 0 or host[over.hostlen] != c'/':
        return False
    return memcmp(rest, host + over.hostlen, n) == 0 and (k == n or rest[n] == c'/')

cdef int mount_turn(View *v, int i, const Bind *over, const Rename *r) noexcept nogil:
    """Say which of the two names a mount point is moved from: 1, 2 (of an exchange), or 0."""
    cdef const char *rest = v.b[i].guest + over.guestlen
    cdef int k = v.b[i].guestlen - over.guestlen
    if name_moves(over, rest, k, r.h1, r.n1):
        return 1
    return 2 if r.exchange and name_moves(over, rest, k, r.h2, r.n2) else 0

cdef int mount_moved(View *v, int i, const Rename *r, char *text) noexcept nogil:
    """Write the guest path that a binding has after a rename; return its length, -1 where it is too long."""
    cdef Bind *b = &v.b[i]
    cdef Bind *over
    cdef const char *rest
    cdef const char *to = b""
    cdef int n, k, turn, more = 0
    if b.guestlen == 0:
        return 0
    k = view_holding(v, i)
    over = &v.b[k]
    n = mount_moved(v, k, r, text)
    rest = b.guest + over.guestlen
    k = b.guestlen - over.guestlen
    turn = mount_turn(v, i, over, r)
    if turn > 0:
        to, more = (r.h2 if turn == 1 else r.h1) + over.hostlen, (r.n2 if turn == 1 else r.n1) - over.hostlen
        if more <= 0 or memcmp(to - over.hostlen, over.host, over.hostlen) != 0 or to[0] != c'/':
            return snprintf(text, 32, b"//%d", i)
        rest, k = rest + (r.n1 if turn == 1 else r.n2) - over.hostlen, k - (r.n1 if turn == 1 else r.n2) + over.hostlen
    if n < 0 or n + more + k >= BUF:
        return -1
    memcpy(text + n, to, more)
    memcpy(text + n + more, rest, k)
    return n + more + k

cdef void mount_lost(View *v, int i, char *text) noexcept nogil:
    """The mount point leaves the binding that it lies in: remember where it is, as yet; it may come back."""
    cdef Bind *b = &v.b[i]
    cdef int over = view_holding(v, i)
    b.lostlen = snprintf(text, BUF, b"%s%s", v.b[over].host, b.guest + v.b[over].guestlen)
    b.lost = dup_bytes(text, b.lostlen)
    b.lost_in = over

cdef void view_find_lost(View *v) noexcept nogil:
    """Mount points that have come back to their bindings are found again, and what is mounted below them."""
    cdef Bind *b
    cdef Bind *over
    cdef char old[32]
    cdef char *text
    cdef int i, k, n, oldlen
    for i in range(1, v.n):
        b = &v.b[i]
        over = &v.b[b.lost_in] if b.lost != NULL else b
        n = b.lostlen - over.hostlen
        if b.lost == NULL or n <= 0 or memcmp(b.lost, over.host, over.hostlen) != 0 or b.lost[over.hostlen] != c'/':
            continue
        text = <char *>malloc(over.guestlen + n + 1)
        if text == NULL:
            continue
        memcpy(text, over.guest, over.guestlen)
        memcpy(text + over.guestlen, b.lost + over.hostlen, n)
        n += over.guestlen
        oldlen = snprintf(old, sizeof(old), b"//%d", i)
        for k in range(1, v.n):
            moved_prefix(&v.b[k].guest, &v.b[k].guestlen, old, oldlen, text, n)
        free(text)
        free(b.lost)
        b.lost = NULL
        view_rebuild(v)
