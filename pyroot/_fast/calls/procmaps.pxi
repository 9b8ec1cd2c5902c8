# maps, smaps and numa_maps of a guest: file names in guest terms, without what the loader left in the address space.

cdef bint is_ours(Tracee *t, uint64_t address) noexcept nogil:
    """Say whether a mapping is the code that stays, or an arena."""
    if t.mm != NULL and ip_in_code(t, address):
        return True
    return (<uint64_t>LOADER_STUBS <= address < <uint64_t>LOADER_STUBS + LOADER_KEPT
            or <uint64_t>LOADER_ARENA <= address < <uint64_t>LOADER_ARENA + ARENA_SIZE
            or (gate_index >= 0 and <uint64_t>LOADER_INDEX <= address < <uint64_t>LOADER_INDEX + GATE_INDEX_SIZE))

cdef bint is_arena_line(const char *p, int n) noexcept nogil:
    """Say whether a line of maps is of the arena's file, wherever that is mapped."""
    cdef char where[64]
    cdef c_stat st
    if arena.fd < 0 or find_in(p, n, b" /memfd:pyroot-arena") == NULL or c_fstat(arena.fd, &st) < 0:
        return False
    # (device and number of the file, as show_map_vma writes them)
    snprintf(where, sizeof(where), b" %02x:%02x %lu ", c_major(st.st_dev), c_minor(st.st_dev), st.st_ino)
    return find_in(p, n, where) != NULL

cdef void path_shown(Tracee *t, const char *p, int n, const char *escapes, Text *out) noexcept nogil:
    """Append a host path of a mapping in guest terms; what the view does not show stays as it is."""
    cdef int k, g
    if n >= PATHMAX * 4:
        text_add(out, p, n)
        return
    k = unescape(p, n, map_host, sizeof(map_host))
    if t.view == W1.v and t.mm != NULL and t.mm.exe != NULL and strcmp(map_host, t.mm.exe.host) == 0:
        # where several bindings show the program: the name that it was started by
        g = <int>strlen(t.mm.exe.guest)
        memcpy(link_text, t.mm.exe.guest, g)
        g = nested_text(t, link_text, g)
        text_escaped(out, link_text, -g if g < 0 else g, escapes)
        return
    g = guest_text(map_host, k, -1, link_text)
    if g > 0:
        g = nested_text(t, link_text, g)
        g = -g if g < 0 else g
        text_escaped(out, link_text, g, escapes)
    else:
        text_add(out, p, n)

cdef char map_host[PATHMAX * 4]

cdef int maps_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    cdef Text host
    cdef const char *p
    cdef const char *escapes = b"\n\t= " if f.kind == K_NUMA_MAPS else b"\n"
    cdef int n, at, end, error
    cdef uint64_t address
    cdef bint ours = False
    cdef uint64_t detours = gate_page(t)
    memset(&host, 0, sizeof(host))
    error = text_file(&host, f.name)
    p = host.p
    while error == 0 and p != NULL and p[0] != 0:
        n = line_length(p)
        if not c'A' <= p[0] <= c'Z':
            # not a detail of smaps: a new mapping
            hex_address(p, &address)
            ours = is_ours(t, address) or (detours != 0 and address - detours < DETOURS_SIZE) or is_arena_line(p, n)
            at = map_path(p, n, f.kind) if not ours else n
            end = n
            if f.kind == K_NUMA_MAPS:
                end = at
                while end < n and p[end] != c' ':
                    end += 1
            if not ours and at < n:
                text_add(out, p, at)
                path_shown(t, p + at, end - at, escapes, out)
                at = end
            else:
                at = 0
        else:
            at = 0
        if not ours:
            text_add(out, p + at, n - at)
            text_add(out, b"\n", 1)
        p = line_next(p, n)
    free(host.p)
    return error
