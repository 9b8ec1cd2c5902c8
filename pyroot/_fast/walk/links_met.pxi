# Symbolic links in the root that the walk has met: the gate is told, since most paths lead through a few of them.

cdef void gate_met_link(Walk *w, const char *comp, int n, const char *text, int size) noexcept nogil:
    """Publish a link in the root: most paths lead through a few of them."""
    cdef uint64_t name = hash_more(FNV, comp, n)
    cdef unsigned int i
    cdef gate_link *link
    if gate == NULL or w.bi != 0 or w.glen != 0 or w.v != views.base or size >= GATE_LINK - 1 or not is_straight(text):
        return
    for i in range(gate.links):
        if gate.link[i].name == name:
            return
    if gate.links < GATE_LINKS:
        link = &gate.link[gate.links]
        memcpy(link.text, text, size)
        link.size = size
        link.name = name
        gate.links += 1

cdef bint is_straight(const char *text) noexcept nogil:
    """Say whether a link's text has plain names only."""
    return (text[0] != c'.' and text[strlen(text) - 1] != c'/'
            and find_text(<char *>text, b"/.") == NULL and find_text(<char *>text, b"//") == NULL)
