# What stays in every guest: the return stubs, the gate, the arena.  Calls from there mean what we know they mean, so a guest must not put
# its own memory in their place.
#
# Where the kernel has mseal(2), Linux 6.10, the loader has sealed them and no other call can move, replace or change them.  On older
# kernels calls that name an address near them stop (the filter compares), and are refused here with the errno of a sealed mapping.
#
# Neither keeps a child from beginning without them, by MADV_DONTFORK: that advice stops on every kernel.

cdef enum:
    MADV_DONTFORK_ = 10
    MAP_FIXED_ = 0x10
    MAP_FIXED_NOREPLACE_ = 0x100000
    MAP_HUGETLB_ = 0x40000
    MREMAP_FIXED_ = 2
    SHM_REMAP_ = 0o40000

cdef bint kernel_seals = False
cdef uint64_t HUGE_PAGE = 1 << 30
cdef uint64_t SEGMENT_MOST = <uint64_t>1 << 40   # bytes of System V memory, whose size the call does not tell

cdef void seals_prepare() noexcept nogil:
    global kernel_seals
    kernel_seals = c_syscall(NR_mseal, 0, 0, 0) == 0

cdef inline bint overlap(uint64_t address, uint64_t size, uint64_t start, uint64_t n) noexcept nogil:
    """Say whether a call's range, which may wrap around, overlaps another one."""
    return address < start + n and (address >= start or size > start - address)

cdef bint kept_touched(Tracee *t, uint64_t address, uint64_t size) noexcept nogil:
    if t.mm.arena and (overlap(address, size, LOADER_STUBS, LOADER_KEPT) or overlap(address, size, LOADER_ARENA, ARENA_SIZE)):
        return True
    return t.mm.low != 0 and overlap(address, size, t.mm.low, ARENA_SIZE)

cdef bint loader_moves(Tracee *t) noexcept nogil:
    """Say whether it is the loader that makes the call, on its way out: once in an address space."""
    cdef uint64_t at = t.call.ip - LOADER_STUBS
    if t.mm.kept or not LOADER_TRAMPOLINE <= at <= LOADER_LAST:
        return False
    t.mm.kept = at == LOADER_LAST
    return True

cdef int on_kept(Tracee *t, const pyroot_row *row) noexcept nogil:
    """mmap, munmap, mprotect, mremap, shmat: refused where they would change what stays."""
    cdef uint64_t size = t.call.args[1]
    cdef bint touched
    if t.call.compat or loader_moves(t):
        return as_is(b"of 32 bits, which cannot name such an address, or the loader's")
    if t.call.nr == NR_mmap:
        if t.call.args[3] & <uint64_t>(MAP_FIXED_ | MAP_FIXED_NOREPLACE_) != MAP_FIXED_:
            return as_is(b"the kernel finds the room, and takes none that is taken")
        if t.call.args[3] & MAP_HUGETLB_:
            size = (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1)
    if t.call.nr == NR_shmat:
        touched = t.call.args[2] & SHM_REMAP_ and kept_touched(t, t.call.args[1], SEGMENT_MOST)
    else:
        touched = kept_touched(t, t.call.args[0], size if size > 0 else 1)
    if t.call.nr == NR_mremap and t.call.args[3] & MREMAP_FIXED_:
        touched = touched or kept_touched(t, t.call.args[4], t.call.args[2])
    return answer(t, -EPERM) if touched else as_is(b"memory of the guest's own")

cdef int on_advice(Tracee *t, const pyroot_row *row) noexcept nogil:
    """madvise, process_madvise: children have everything of ours that their parent has."""
    if <int>t.call.args[row.flags] != MADV_DONTFORK_:
        return as_is(b"other advice does us no harm")
    if t.call.nr == NR_process_madvise:
        # no kernel before 6.13 knows it there, and what it is given lies in memory
        return answer(t, -EINVAL)
    return answer(t, -EPERM) if kept_touched(t, t.call.args[0], t.call.args[1]) else as_is(b"memory of the guest's own")
