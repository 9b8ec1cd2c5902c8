# Threads: the sites of the code that makes the first one are led through the gate before it begins.
#
# A site is changed only while nothing else can run it (gate.pxi), so one that is first used when there are threads stops for ever: open(3)
# of the C library has a second site for such processes, and many programs start their threads before they look at any file.  The last
# moment at which nothing else runs is the birth of the first thread: its maker is stopped, and it has not begun.  What makes it is the C
# library, or a program that is linked with one.
#
# Nobody has seen the calls of these sites.  So they are only what has the form that C libraries give them: mov, syscall, and the comparison
# of the result with the errors, twelve bytes that nothing else has.
#
# Decides: which sites are led without having stopped.

cdef enum:
    SEARCHED_MOST = 0x800000     # bytes of code that are searched: the largest C library has a quarter of that
    SEARCHED_PART = 0x10000      # ... at a time
    SEARCHED_FILES = 16
    SEARCHED_SITES = 32

cdef struct Searched:            # a mapping of code, by the text of its line in /proc/PID/maps from the offset to the inode
    uint64_t key, size           # of 0 bytes: none
    int n
    uint32_t at[SEARCHED_SITES]  # from its beginning: a hint, which is compared with the code

cdef struct CodeRange:
    uint64_t first, last         # an address in it, or of its beginning; and its end
    uint64_t key

cdef Searched[SEARCHED_FILES] searched_codes
cdef uint8_t[SEARCHED_PART] searched_part

cdef void gate_birth(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    """A child has its records, and has not begun: is it the first thread of its process?"""
    cdef CodeRange code
    cdef Searched *searched
    if gate == NULL or child.tgid != parent.tgid or parent.mm.refs != 2 or parent.mm.gate_off or not licences(parent, NULL) & MAY_LEAD:
        return
    if parent.mm.gate == NULL:
        parent.mm.gate = <GateMm *>calloc(1, sizeof(GateMm))
    if parent.mm.gate == NULL or not gate_ready(parent, parent.mm.gate):
        return
    if reg_ip(parent, &code.first) < 0:
        return
    if ip_in_stub(code.first) and parent.call.slot >= 0:
        code.first = parent.call.frame[7]
    if code_range(parent.tid, &code):
        searched = search_code(parent, &code)
        if searched != NULL:
            lead_all(parent, &code, searched)

cdef bint code_range(int tid, CodeRange *code) noexcept nogil:
    """Find the private mapping of a file that has the code at an address, and that nobody writes."""
    cdef Text maps
    cdef char name[40]
    cdef char *line = NULL
    cdef char *end
    cdef uint64_t first, last
    cdef bint found = False
    memset(&maps, 0, sizeof(maps))
    snprintf(name, sizeof(name), b"/proc/%d/maps", tid)
    if text_file(&maps, name) == 0:
        line = maps.p
    while line != NULL and not found:
        first = strtoul(line, &end, 16)
        last = strtoul(end + 1, &end, 16) if end[0] == c'-' else 0
        line = strchr(line, c'\n')
        if line != NULL:
            line += 1
        if not first <= code.first < last:
            continue
        # "r-xp OFFSET MAJOR:MINOR INODE"; without a file the last three are 0
        if memcmp(end, b" r-xp ", 6) != 0 or memcmp(end, b" r-xp 00000000 00:00 0 ", 23) == 0:
            break
        code.first, code.last = first, last
        code.key = hash_more(FNV, end, <int>strcspn(end + 6, b"/\n") + 6)
        found = True
    free(maps.p)
    return found

cdef Searched *search_code(Tracee *t, const CodeRange *code) noexcept nogil:
    """Return where a mapping has sites: from memory, or by looking at all of it.  NULL: it is too large, or cannot be read."""
    cdef Searched *searched = &searched_codes[code.key % SEARCHED_FILES]
    cdef uint64_t at = 0, part, size = code.last - code.first
    if searched.key == code.key and searched.size == size:
        return searched
    if size > SEARCHED_MOST:
        return NULL
    searched.key, searched.size, searched.n = code.key, 0, 0
    while at < size:
        part = size - at if size - at < SEARCHED_PART else SEARCHED_PART
        if mem_read(t.tid, code.first + at, searched_part, part) < 0:
            return NULL
        search_part(searched, at, part)
        # (a site may lie across two parts)
        at += part if at + part == size else part - PLAIN_SIZE
    searched.size = size
    return searched

cdef void search_part(Searched *searched, uint64_t base, uint64_t size) noexcept nogil:
    """Add the sites of a part of a mapping, which is at hand; ``base`` is where it begins."""
    cdef uint8_t *found = searched_part
    cdef uint8_t *end = searched_part + size
    cdef uint32_t at
    while True:
        found = <uint8_t *>memchr(found, SYSCALL_FIRST, end - found)
        if found == NULL:
            return
        at = <uint32_t>(base + (found - searched_part))
        if (is_plain_site(searched_part, size, found - searched_part) and row_of_site(found) != NULL and searched.n < SEARCHED_SITES
                and (searched.n == 0 or searched.at[searched.n - 1] < at)):
            searched.at[searched.n] = at
            searched.n += 1
        found += 1

cdef inline const pyroot_row *row_of_site(const uint8_t *code) noexcept nogil:
    """Return the row of the call that a site makes if the gate answers it in this session; ``code`` is its `syscall`."""
    cdef uint32_t number = number_at(code - 4)
    return &pyroot_rows[number] if number <= PYROOT_LAST_CALL and gate_has(&pyroot_rows[number]) else NULL

cdef void lead_all(Tracee *t, const CodeRange *code, const Searched *searched) noexcept nogil:
    """Lead the sites of a mapping that still have the form, and whose calls need not stop."""
    cdef const pyroot_row *row
    cdef uint8_t text[SITE_ROOM]
    cdef uint64_t at
    cdef int i
    memset(text, 0, sizeof(text))
    for i in range(searched.n):
        at = code.first + searched.at[i]
        if mem_read(t.tid, at - PLAIN_BEFORE, text, PLAIN_SIZE) < 0 or not is_plain_site(text, PLAIN_SIZE, PLAIN_BEFORE):
            continue
        row = row_of_site(text + PLAIN_BEFORE)
        if row != NULL and licences(t, row) & MAY_LEAD:
            site_lead(t, t.mm.gate, at - GATE_MOV, text + PLAIN_BEFORE - GATE_MOV)
