# Whose /proc links guests are given for what has no path: the supervisor's own, or under a net those of the holder (net.pxi).

cdef struct Net:
    int holder               # 0: none, guests are given our own links
    int ruleset              # a descriptor, -1: no net
    bint lost                # somebody has killed the holder

cdef Net net
net.ruleset = -1

cdef inline int links_pid() noexcept nogil:
    """Whose /proc links to descriptors guests are given."""
    return net.holder if net.holder > 0 else c_getpid()
