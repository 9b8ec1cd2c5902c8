# The door of the front end to a store: `pyroot owners` reads and writes records by it, and tests try what a kill leaves of them.
#
# Decides: how a record looks to Python.


cdef class Owners:
    """Hold the store of a root directory, without a session."""

    cdef store *s
    cdef bytes root

    def __cinit__(self, bytes path, bytes root):
        cdef file_facts facts
        cdef int error, fd
        self.root = root
        self.s = <store *>calloc(1, sizeof(store))
        if self.s == NULL:
            raise MemoryError
        fd = c_open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)
        error = -errno if fd < 0 else facts_look(fd, b"", 0, 0, &facts)
        if error == 0:
            error = store_open(self.s, path, root, facts.dev, facts.ino, facts_handle(fd, False))
        if fd >= 0:
            c_close(fd)
        self._check(error, path)

    def __dealloc__(self):
        if self.s != NULL:
            store_close(self.s)
            free(self.s)

    cdef int _check(self, int error, bytes path) except -1:
        if error <= -STORE_DAMAGED:
            raise CoreError(store_trouble(error).decode())
        if error < 0:
            raise OSError(-error, _os.strerror(-error), path)
        return 0

    def close(self):
        """Write what has changed to the disk."""
        store_close(self.s)

    def get(self, bytes path):
        """Return (uid, gid, mode, rdev, flags) of the record of a file, None if it has none."""
        cdef Truth f
        cdef int fd = c_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
        self._check(-errno if fd < 0 else 0, path)
        memset(&f, 0, sizeof(f))
        cdef int error = facts_look(fd, b"", 0, 0, &f.disk)
        cdef bint found = error == 0 and truth_in(self.s, &f, fd)
        c_close(fd)
        self._check(error, path)
        return (f.uid, f.gid, f.mode, f.rdev, f.slot.flags) if found else None

    def put(self, bytes path, uint32_t uid, uint32_t gid, uint32_t mode, uint32_t rdev=0, uint32_t flags=0):
        """Record this of a file; the disk is left as it is.  ``flags``: 1 forgets the record, 4: it stands for a device."""
        cdef Truth f
        cdef Spot at
        cdef int error
        at.fd = c_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
        self._check(-errno if at.fd < 0 else 0, path)
        at.bind, at.mounted = 0, False
        memset(&f, 0, sizeof(f))
        error = facts_look(at.fd, b"", 0, 0, &f.disk)
        if error == 0:
            truth_in(self.s, &f, at.fd)
            f.found, f.where = True, self.s
            f.uid, f.gid, f.mode, f.rdev = uid, gid, mode, rdev
            f.asked = False
            error = truth_put(&at, &f, f.disk.mode, flags, f.slot.tail)
        spot_drop(&at)
        self._check(error, path)

    def slots(self):
        """Return what every record says: (ino, device, uid, gid, mode, rdev, flags)."""
        cdef uint32_t i
        cdef const store_slot *slot
        found = []
        if self.s.map == NULL:
            return found
        for i in range(store_head(self.s).slots * 2):
            slot = store_entry(self.s, i)
            if slot != NULL:
                found.append((slot.ino, slot.device, slot.uid, slot.gid, slot.mode, slot.rdev, slot.flags))
        return found
