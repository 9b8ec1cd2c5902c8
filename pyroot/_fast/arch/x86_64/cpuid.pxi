# What the processor can do. Decides: which leaves of CPUID are read. What loaders make of them is in pyroot/elf/processor.py.

cdef extern from *:
    """
    #include <cpuid.h>

    static unsigned pyroot_saved_registers(void)
    {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return low;
    }
    """
    int c_cpuid "__get_cpuid_count" (unsigned leaf, unsigned sub, unsigned *a, unsigned *b, unsigned *c, unsigned *d) nogil
    unsigned c_saved_registers "pyroot_saved_registers" () nogil


def cpuid():
    """Return the maker's name, what CPUID says of features by leaf, and the lower half of XCR0 (0 where there is none)."""
    cdef unsigned a = 0, b = 0, c = 0, d = 0
    cdef unsigned saved = 0
    c_cpuid(0, 0, &a, &b, &c, &d)
    vendor = b"".join([(<object>word).to_bytes(4, "little") for word in (b, d, c)])
    leaves = {}
    for leaf in (1, 7, 0x80000001):
        if c_cpuid(leaf, 0, &a, &b, &c, &d):
            leaves[leaf] = (a, b, c, d)
    # OSXSAVE: the instruction is there
    if 1 in leaves and leaves[1][2] >> 27 & 1:
        saved = c_saved_registers()
    return vendor, leaves, saved
