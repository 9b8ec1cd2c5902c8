# Files of /proc whose text is made anew: which they are.  What they say: calls/proctext.pxi.

cdef struct TextName:
    const char *name
    const char *last         # its last component
    int kind

cdef enum:
    K_MOUNTS = 1
    K_MOUNTINFO = 2
    K_MOUNTSTATS = 3
    K_MAPS = 4
    K_SMAPS = 5
    K_NUMA_MAPS = 6
    K_STATUS = 7
    K_STAT = 8
    K_WCHAN = 9
    K_UNIX = 10
    K_MEM = 11               # no text: only its owner is asked for
    K_SCHED = 12
    K_SCHEDSTAT = 13
    K_OPEN_FILES = 14        # a directory: only its owner is asked for
    K_PRIVATE = 15           # no text either: what nobody but the owner's user reads
    K_SETTING = 16           # the same: what nobody else writes
    COPY_PREFIX = 14
    COPY_MODE = 0o100444
    TEXT_LATER = 2

cdef enum:
    TEXT_NAMES = 39

cdef TextName[TEXT_NAMES] text_names = [
    TextName(b"maps", b"maps", K_MAPS), TextName(b"mounts", b"mounts", K_MOUNTS), TextName(b"mountinfo", b"mountinfo", K_MOUNTINFO),
    TextName(b"mountstats", b"mountstats", K_MOUNTSTATS), TextName(b"mem", b"mem", K_MEM), TextName(b"status", b"status", K_STATUS),
    TextName(b"stat", b"stat", K_STAT), TextName(b"smaps", b"smaps", K_SMAPS), TextName(b"net/unix", b"unix", K_UNIX),
    TextName(b"numa_maps", b"numa_maps", K_NUMA_MAPS), TextName(b"wchan", b"wchan", K_WCHAN),
    TextName(b"sched", b"sched", K_SCHED), TextName(b"schedstat", b"schedstat", K_SCHEDSTAT),
    TextName(b"fd", b"fd", K_OPEN_FILES),
    TextName(b"fdinfo", b"fdinfo", K_OPEN_FILES), TextName(b"map_files", b"map_files", K_OPEN_FILES),
    TextName(b"ns", b"ns", K_OPEN_FILES),
    TextName(b"auxv", b"auxv", K_PRIVATE), TextName(b"clear_refs", b"clear_refs", K_PRIVATE), TextName(b"environ", b"environ", K_PRIVATE),
    TextName(b"io", b"io", K_PRIVATE), TextName(b"ksm_merging_pages", b"ksm_merging_pages", K_PRIVATE),
    TextName(b"ksm_stat", b"ksm_stat", K_PRIVATE), TextName(b"pagemap", b"pagemap", K_PRIVATE),
    TextName(b"personality", b"personality", K_PRIVATE), TextName(b"smaps_rollup", b"smaps_rollup", K_PRIVATE),
    TextName(b"stack", b"stack", K_PRIVATE), TextName(b"syscall", b"syscall", K_PRIVATE), TextName(b"timers", b"timers", K_PRIVATE),
    TextName(b"autogroup", b"autogroup", K_SETTING), TextName(b"comm", b"comm", K_SETTING),
    TextName(b"coredump_filter", b"coredump_filter", K_SETTING), TextName(b"gid_map", b"gid_map", K_SETTING),
    TextName(b"loginuid", b"loginuid", K_SETTING), TextName(b"oom_adj", b"oom_adj", K_SETTING),
    TextName(b"oom_score_adj", b"oom_score_adj", K_SETTING), TextName(b"projid_map", b"projid_map", K_SETTING),
    TextName(b"timens_offsets", b"timens_offsets", K_SETTING), TextName(b"uid_map", b"uid_map", K_SETTING)]
