# The gate: calls that are answered inside the guest (pyroot/guest/gate.c), so that they do not stop.
#
# A site that has stopped before, `mov $NUMBER, %eax` and `syscall`, gets a jump in place of its mov: to its own detour, in a
# page near the code that the loader has mapped, and from there to the gate.  The site's `syscall` stays, and is what the gate goes back to
# for everything that it does not decide.  Only in processes with one thread, since nothing else may run what is being changed; the change
# stays for the threads and children that come later (gate_threads.pxi), and is gone with the next exec.
#
# A signal, or a tracer, must not find a guest in here (gate_leave.pxi).

cdef enum:
    KNOWN_CODES = 64
    KNOWN_SITES = 16
    KNOWN_TRIES = 64         # first stops that are looked at for more of them
    KNOWN_MISSES = 3         # then it is not worth the loader's while: "/proc/self/exe" is all that it asks for
    AT_PHDR_ = 3
    AT_BASE_ = 7

cdef uint64_t GATE_REACH = 0x7ff00000    # bytes between a site and its detour, at most
cdef uint64_t GATE_CODE = 0x400000       # so far from its base an ELF interpreter's sites lie, at most
cdef uint64_t GATE_MIX = 0x9e3779b97f4a7c15      # spreads addresses over pairs of the GATE_SEEN, which are 2**5
cdef uint64_t GATE_REFUSED = <uint64_t>1 << 63

cdef struct KnownSites:          # where an ELF interpreter, or a program without one, has sites
    uint64_t code            # hash of its host path; what is kept is a hint, which the loader checks
    int n, tries
    uint32_t at[KNOWN_SITES]  # from the base
    uint8_t misses[KNOWN_SITES]    # how often one that was led still stopped

cdef KnownSites[KNOWN_CODES] known_sites
cdef uint64_t[64] hot_sites      # a bit for each that some process has used twice: such are changed at their first stop
cdef void gate_prepare(View *v, const char *text) noexcept nogil:
    """Publish the view, where nothing but the kernel's own look-up of names is between a path and its file."""
    cdef int i
    cdef c_stat st
    global gate, gate_serves, gate_index
    gate = NULL
    gate_serves = 0
    gate_index = -1
    if features_chosen():
        # (what an earlier session has led through the gate may have to stop in this one)
        memset(known_sites, 0, sizeof(known_sites))
    memset(searched_codes, 0, sizeof(searched_codes))
    if not HAS_GATE or session.no_gate or session.tracing or session.judging or nesting or overlays.blind:
        return
    if arena.map == NULL or v.b[0].hostlen >= GATE_PREFIX:
        return
    gate = <gate_view *>(arena.map + ARENA_SIZE - GATE_VIEW_SIZE)
    gate.prefix_len = v.b[0].hostlen
    memcpy(gate.prefix, v.b[0].host, v.b[0].hostlen)
    memcpy(gate.names, v.names, sizeof(v.names))
    for i in range(1, v.n):
        gate_mark(gate.tops, GATE_TOPS, hash_more(FNV, v.b[i].guest, v.b[i].guestlen))
        gate_bind(v, i)
    gate.bound = v.n > 1
    gate_tops(v)
    gate_holders(v)
    if v.b[0].hostlen == 0:
        # the host's own /proc, which no binding shows: its links and texts are not what they seem
        gate_mark(gate.tops, GATE_TOPS, hash_more(FNV, b"/proc", 5))
        gate_mark(gate.names, GATE_NAMES, hash_more(FNV, b"proc", 4))
        gate.bound = 1
    gate.ambiguous = v.ambiguous
    gate.overs = v.overs
    if v.overs > 0:
        memcpy(gate.over, layers_names, sizeof(gate.over))
        memcpy(gate.number, layers_numbers, sizeof(gate.number))
        layers_tell(gate.over, gate.number)
    gate.readonly = v.features & FEATURE_READONLY != 0
    gate.root_alone = not v.ambiguous or is_alone(v, 0)
    gate.protects = protected_symlinks
    gate.proc_dev = proc_dev
    if c_fstat(arena.fd, &st) == 0:
        gate.copy_dev = st.st_dev
    gate.copy_mode = COPY_MODE
    for i in range(TEXT_NAMES):
        gate_mark(gate.texts, GATE_TEXTS, hash_more(FNV, text_names[i].last, <int>strlen(text_names[i].last)))
    (<uint64_t *>(<char *>gate + GATE_DETOURS + DETOUR_HOOK))[0] = LOADER_GATE + GATE_ENTER
    (<uint64_t *>(<char *>gate + GATE_DETOURS + DETOUR_MAGIC))[0] = DETOURS_MAGIC
    gate.on = 1

cdef void feature_gate(Feature *f) noexcept nogil:
    f.begin = gate_prepare
    f.birth = gate_birth

cdef void gate_tops(View *v) noexcept nogil:
    """Tell which directories and files are mount roots, or nothing if there are many."""
    cdef c_stat st
    cdef int i
    for i in range(v.n if v.n <= GATE_BOUND else 0):
        if c_fstat(v.b[i].fd, &st) < 0:
            return
        gate.top[i].dev = st.st_dev
        gate.top[i].ino = st.st_ino
    if v.n <= GATE_BOUND:
        gate.tops_told = v.n

cdef void gate_holders(View *v) noexcept nogil:
    """Tell which directories have more links than the host counts."""
    cdef char text[PATHMAX]
    cdef c_stat st
    cdef int i, n
    gate.holders = 0
    for i in range(1, v.n if v.links else 1):
        n = host_above(v, i, text)
        if n >= PATHMAX or not is_brought(v, i, text, n):
            continue
        if (fstatat(AT_FDCWD, text, &st, 0) if n > 0 else fstatat(AT_FDCWD, b"/", &st, 0)) < 0 or gate.holders >= GATE_HOLDERS:
            gate.holders = GATE_HOLDERS + 1
            return
        gate.holder[gate.holders].dev = st.st_dev
        gate.holder[gate.holders].ino = st.st_ino
        gate.holders += 1

cdef bint is_alone(View *v, int i) noexcept nogil:
    """Say whether no other binding shows anything of a binding's host side."""
    cdef const Bind *b = &v.b[i]
    cdef const Bind *other
    cdef int k, n
    for k in range(v.n):
        other = &v.b[k]
        n = b.hostlen if b.hostlen < other.hostlen else other.hostlen
        if k != i and memcmp(b.host, other.host, n) == 0:
            if b.hostlen == other.hostlen or (b.host if b.hostlen > n else other.host)[n] == c'/':
                return False
    return True

cdef void gate_bind(View *v, int i) noexcept nogil:
    """Tell a binding in full, so that paths may lead through its mount point."""
    cdef const Bind *b = &v.b[i]
    cdef gate_bound *to = &gate.binding[gate.bindings]
    if gate.bindings >= GATE_BOUND or b.flags & BIND_LINK or (b.over != NULL and b.over.n > 2) or is_proc(b.host, b.hostlen):
        return
    if b.hostlen == 0 or b.hostlen >= GATE_HOST or b.guestlen >= GATE_GUEST:
        return
    to.hash = hash_more(FNV, b.guest, b.guestlen)
    to.host_len = b.hostlen
    to.alone = not v.ambiguous or is_alone(v, i)
    to.guest_len = b.guestlen
    memcpy(to.host, b.host, b.hostlen)
    memcpy(to.guest, b.guest, b.guestlen)
    gate.bindings += 1

# -- sites ---------------------------------------------------------------------------------------------------------------------

cdef void gate_exec(Tracee *t, Mm *mm, ExecPlan *plan) noexcept nogil:
    """A new address space: the loader is about to lead its known sites through the gate."""
    if gate == NULL or not licences(t, NULL) & MAY_LEAD:
        plan.info.nsites = 0
    if plan.info.nsites == 0:
        return
    mm.gate = <GateMm *>calloc(1, sizeof(GateMm))
    if mm.gate == NULL:
        plan.info.nsites = 0
    else:
        mm.gate.count = plan.info.nsites

cdef inline bint gate_has(const pyroot_row *row) noexcept nogil:
    """Say whether the gate answers a call in this session."""
    return row.gate == 1 or (row.gate == 2 and row.features & gate_serves != 0)

cdef void gate_hit(Tracee *t, const pyroot_row *row) noexcept nogil:
    """A call of a kind that the gate answers has stopped: change its site if this was not the first time."""
    cdef GateMm *g
    cdef uint64_t *seen
    if t.mm == NULL or t.mm.gate_off or not licences(t, row) & MAY_LEAD:
        return
    g = t.mm.gate
    if g == NULL:
        g = t.mm.gate = <GateMm *>calloc(1, sizeof(GateMm))
        if g == NULL:
            return
    seen = &g.seen[t.call.ip * GATE_MIX >> 60 << 1]
    if seen[0] & ~GATE_REFUSED != t.call.ip:
        if seen[1] & ~GATE_REFUSED != t.call.ip:
            seen[1] = seen[0]
            seen[0] = t.call.ip
            gate_learn(t, g)
            if not hot_sites[site_key(t) >> 6] >> (site_key(t) & 63) & 1:
                return
        else:
            seen += 1
    if seen[0] & GATE_REFUSED or t.mm.refs != 1:
        return
    seen[0] |= GATE_REFUSED
    gate_site(t, g)
    hot_sites[site_key(t) >> 6] |= <uint64_t>1 << (site_key(t) & 63)

cdef inline uint64_t site_key(Tracee *t) noexcept nogil:
    """Tell sites apart, in any process, by their places in their pages."""
    return t.call.ip & 0xfff

cdef void gate_learn(Tracee *t, GateMm *g) noexcept nogil:
    """Remember a site of an ELF interpreter, or of a program without one: there the loader changes it from the next exec on."""
    cdef KnownSites *known = &known_sites[t.mm.code & (KNOWN_CODES - 1)]
    cdef uint64_t site
    cdef uint8_t code[SITE_ROOM]
    cdef int i, between
    if known.code != t.mm.code:
        memset(known, 0, sizeof(KnownSites))
        known.code = t.mm.code
    if known.tries >= KNOWN_TRIES or known.n >= KNOWN_SITES or not gate_ready(t, g):
        return
    known.tries += 1
    between = site_form(t, code)
    site = t.call.ip - SITE_SIZE - (g.page + DETOURS_SIZE)
    if site >= GATE_CODE:
        return
    for i in range(known.n):
        if known.at[i] == site or known.at[i] == site - DETOUR_BETWEEN:
            if between < 0 and known.misses[i] < KNOWN_MISSES:
                known.misses[i] += 1
            return
    if between >= 0:
        known.at[known.n] = <uint32_t>(site - between)
        known.misses[known.n] = 0
        known.n += 1

cdef bint gate_ready(Tracee *t, GateMm *g) noexcept nogil:
    """Say whether the address space has a page for detours."""
    if g.page == 0:
        g.page = gate_page(t)
        if g.page == 0:
            t.mm.gate_off = True
    return g.page != 0

cdef uint64_t gate_page(Tracee *t) noexcept nogil:
    """Find the detours' page: before the ELF interpreter or, without one, the program (map_detours of the loader)."""
    cdef uint64_t aux[64]
    cdef uint64_t head[2]
    cdef uint64_t base = 0, phdr = 0
    cdef char name[40]
    cdef ssize_t n
    cdef int i, fd
    snprintf(name, sizeof(name), b"/proc/%d/auxv", t.tid)
    fd = c_open(name, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return 0
    n = c_read(fd, aux, sizeof(aux))
    c_close(fd)
    for i in range(0, <int>(n // 8) - 1, 2):
        if aux[i] == AT_BASE_:
            base = aux[i + 1]
        elif aux[i] == AT_PHDR_:
            phdr = aux[i + 1] & ~<uint64_t>0xfff
    base = (base if base != 0 else phdr) - DETOURS_SIZE
    if mem_read(t.tid, base, head, sizeof(head)) < 0 or head[1] != DETOURS_MAGIC:
        return 0
    return base

cdef void gate_site(Tracee *t, GateMm *g) noexcept nogil:
    """Lead the site of the call at hand through the gate, if it has the form that can be led."""
    cdef uint8_t code[SITE_ROOM]
    cdef int between = site_form(t, code)
    if between >= 0 and gate_ready(t, g):
        site_lead(t, g, t.call.ip - SITE_SIZE - between, code)

cdef void site_lead(Tracee *t, GateMm *g, uint64_t site, const uint8_t *code) noexcept nogil:
    """Lead a site through the gate, whose code this is: no other task may run it meanwhile."""
    cdef uint8_t new[DETOUR_SIZE]
    cdef uint64_t at, old = 0
    cdef int i
    if g.count >= GATE_SITES:
        return
    at = g.page + DETOUR_FIRST + <uint64_t>g.count * DETOUR_SIZE
    if at - site + GATE_REACH > 2 * GATE_REACH:
        return
    if mem_read(t.tid, site, &old, sizeof(old)) < 0 or is_writable(t, site, &old):
        return
    gate_lead(new, at, g.page, code, site)
    for i in range(0, DETOUR_SIZE, 8):
        if code_poke(t.tid, at + i, word_at(new + i)) < 0:
            return
    memcpy(new, &old, sizeof(old))
    gate_jump(new, site, at)
    if code_poke(t.tid, site, word_at(new)) < 0:
        # of two pages the first may have been written
        code_poke(t.tid, site, old)
        return
    g.count += 1
    stats.sites += 1

cdef bint is_writable(Tracee *t, uint64_t site, const uint64_t *code) noexcept nogil:
    """Say whether the guest may write its code: that of others may be changed with it (MAP_SHARED), or it is about to change."""
    return mem_write(t.tid, site, code, 1) == 0 or mem_write(t.tid, site + 7, <const char *>code + 7, 1) == 0

cdef inline uint64_t word_at(const uint8_t *code) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, code, sizeof(value))
    return value

cdef inline int code_poke(int tid, uint64_t at, uint64_t word) noexcept nogil:
    """Write eight bytes of a stopped tracee, whatever their protection."""
    return -1 if c_ptrace(PTRACE_POKETEXT, tid, <void *>at, <void *>word) < 0 else 0

cdef void gate_quit(Tracee *t) noexcept nogil:
    """The address space of a tracee leaves the gate alone from now on: its detours lead straight back."""
    cdef char name[40]
    cdef uint64_t place = LOADER_GATE + GATE_PASS
    cdef int fd
    if t.mm == NULL or t.mm.gate_off:
        return
    t.mm.gate_off = True
    if t.mm.gate == NULL or t.mm.gate.count == 0:
        return
    if not gate_ready(t, t.mm.gate):
        # its loader is still at work, and will lead it here
        gate_end()
        return
    snprintf(name, sizeof(name), b"/proc/%d/mem", t.tid)
    fd = c_open(name, O_RDWR | O_CLOEXEC)
    if fd < 0 or c_pwrite(fd, &place, sizeof(place), t.mm.gate.page + DETOUR_HOOK) != sizeof(place):
        # nothing else can be done for this one alone
        gate_end()
    if fd >= 0:
        c_close(fd)

cdef void gate_quit_fs(Fs *fs) noexcept nogil:
    """The same for all that share a root."""
    cdef int i, k
    cdef Tracee *t
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            t = tracees.leaf[i][k]
            if t != NULL and t.fs == fs:
                gate_quit(t)
