# What the gate knows of the view: the page that it reads (gate_view of guest/gate.h), and when that is no longer true.

cdef extern from "gate.h" nogil:
    enum:
        DETOUR_SIZE, DETOUR_FIRST, DETOUR_HOOK, DETOUR_MAGIC, DETOUR_NUMBER, DETOUR_BACK, DETOUR_PLAIN, DETOUR_BETWEEN, DETOURS_SIZE
        GATE_ENTER, GATE_PUSHED, GATE_SAVED, GATE_CALLED, GATE_TAIL, GATE_CLEARED, GATE_LAST, GATE_PASS, GATE_TEXT
        RED_ZONE, GATE_FRAME, GATE_SCAN_WORDS, GATE_VIEW_SIZE, GATE_DETOURS, GATE_PREFIX, GATE_NAMES, GATE_TEXTS, GATE_TOPS
    uint64_t DETOURS_MAGIC, GATE_FRAME_MAGIC
    uint64_t LOADER_GATE "(LOADER_GATE + pyroot_shift)"
    enum:
        LOADER_GATE_SIZE
        GATE_LINKS, GATE_LINK, GATE_BOUND, GATE_HOLDERS, GATE_HOST, GATE_GUEST
        GATE_WHOS, GATE_GROUPS, GATE_OWN_WORDS, GATE_LINKS_MET, GATE_CLOSED, GATE_INDEX_SIZE, DETOUR_WHO, WHO_NUMBER, WHO_TOLD
        GATE_OVER, GATE_NUMBERS
    struct gate_link:
        unsigned long long name
        unsigned int size
        char text[GATE_LINK]
    struct gate_bound:
        unsigned long long hash
        unsigned short host_len, guest_len
        unsigned int alone
        char host[GATE_HOST]
        char guest[GATE_GUEST]
    struct gate_top:
        unsigned long long dev, ino
    struct gate_who:
        unsigned int uid[3]
        unsigned int gid[3]
        unsigned int passes, changes, groups
        unsigned int group[GATE_GROUPS]
    struct gate_view:
        unsigned int moves, on, moving, prefix_len, bound, protects, links, readonly, overs, ambiguous, bindings
        unsigned long long proc_dev, copy_dev
        gate_link link[GATE_LINKS]
        char prefix[GATE_PREFIX]
        unsigned long long names[GATE_NAMES]
        unsigned long long texts[GATE_TEXTS]
        unsigned long long tops[GATE_TOPS]
        gate_bound binding[GATE_BOUND]
        unsigned int root_alone, tops_told
        gate_top top[GATE_BOUND]
        unsigned int holders, copy_mode
        gate_top holder[GATE_HOLDERS]
        unsigned int owners, us, uid, gid
        unsigned long long hidden
        gate_top hidden_in
        unsigned int own_have, whose
        gate_who who[GATE_WHOS]
        unsigned long long own[GATE_OWN_WORDS]
        unsigned long long over[GATE_OVER]
        unsigned long long number[GATE_NUMBERS]
    int gate_form(const unsigned char *)
    void gate_lead(unsigned char *, uint64_t, uint64_t, const unsigned char *, uint64_t)
    void gate_jump(unsigned char *, uint64_t, uint64_t)
    struct gate_frame:
        unsigned long long magic, self, detour, flags, target
        unsigned long long regs[6]
        unsigned long long kept[6]
        unsigned long long call
        unsigned long long args[6]
        unsigned long long retry, check

cdef gate_view *gate = NULL      # what is published; NULL: this session has no gate
cdef uint32_t gate_serves = 0    # features whose calls the gate may answer, a bit each

cdef inline void gate_mark(unsigned long long *bits, int words, uint64_t hash) noexcept nogil:
    bits[hash >> 6 & <uint64_t>(words - 1)] |= <uint64_t>1 << (hash & 63)

cdef void gate_end() noexcept nogil:
    """The view is no longer what was published, or somebody wants to see every call: all of them stop from now on."""
    global gate
    if gate != NULL:
        gate.on = 0
        gate = NULL

cdef void gate_copies_have(unsigned int mode) noexcept nogil:
    """Copies of texts have another mode than they should."""
    if gate != NULL:
        gate.copy_mode = mode

cdef void gate_moving(bint moving) noexcept nogil:
    if gate != NULL:
        gate.moves += moving
        gate.moving = moving
