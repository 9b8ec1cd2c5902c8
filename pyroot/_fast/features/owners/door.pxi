# The door of the front end to a store: `pyroot owners` reads and writes records by it, and tests try what a kill leaves of them.
#
# Decides: how a record looks to Python.


cdef class Owners:
    """Hold the store of a root directory, without a session."""

    cdef store *s
    cdef bytes root
    cdef readonly bint moved

    def __cinit__(self, bytes path, bytes root, bint rekey=False):
        cdef file_facts facts
        cdef int error, fd
        self.root = b"" if root == b"/" else root
        self.s = <store *>calloc(1, sizeof(store))
        if self.s == NULL:
            raise MemoryError
        fd = c_open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)
        error = -errno if fd < 0 else facts_look(fd, b"", 0, 0, &facts)
        if error == 0:
            error = store_open(self.s, path, self.root, facts.dev, facts.ino, facts_handle(fd, False))
        if fd >= 0:
            c_close(fd)
        self._check(0 if rekey and error == -STORE_OTHER_ROOT else error, path)
        self.moved = error == -STORE_OTHER_ROOT

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

    cdef int _find(self, bytes path, Truth *f, Spot *at) except -1:
        """Look a file up; its descriptor has to be dropped."""
        cdef int error
        memset(f, 0, sizeof(Truth))
        at.bind, at.mounted = 0, False
        at.place[0] = 0
        at.fd = c_open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
        self._check(-errno if at.fd < 0 else 0, path)
        error = facts_look(at.fd, b"", 0, 0, &f.disk)
        if error < 0:
            spot_drop(at)
            self._check(error, path)
        truth_in(self.s, f, at.fd)
        return 0

    cdef bytes _tail(self, uint32_t tail):
        cdef int64_t n = store_tail_get(self.s, tail, tail_bytes, sizeof(tail_bytes)) if tail != 0 else 0
        return tail_bytes[:n] if n > 0 else b""

    def get(self, bytes path):
        """Return (uid, gid, mode, rdev, flags) of the record of a file, None if it has none."""
        cdef Truth f
        cdef Spot at
        self._find(path, &f, &at)
        spot_drop(&at)
        return (f.uid, f.gid, f.mode, f.rdev, f.slot.flags) if f.found else None

    def tail(self, bytes path):
        """Return what a file's record has beside these: named values, as in pyroot/store/tails.h."""
        cdef Truth f
        cdef Spot at
        self._find(path, &f, &at)
        spot_drop(&at)
        return self._tail(f.slot.tail) if f.found else b""

    def put(self, bytes path, uint32_t uid, uint32_t gid, uint32_t mode, uint32_t rdev=0, uint32_t flags=0, bytes tail=None):
        """Record this of a file; the disk is left as it is.  ``flags``: 1 forgets the record, 4: it stands for a device.

        Without a tail it keeps the one that it has.
        """
        cdef Truth f
        cdef Spot at
        cdef int64_t error
        cdef uint32_t place
        self._find(path, &f, &at)
        place = f.slot.tail if f.found else 0
        f.found, f.where = True, self.s
        f.uid, f.gid, f.mode, f.rdev = uid, gid, mode, rdev
        error = 0
        if tail:
            error = store_tail_put(self.s, <const char *>tail, len(tail))
            place = <uint32_t>error
        if tail is not None and not tail:
            place = 0
        if error >= 0:
            error = truth_put(&at, &f, f.disk.mode, flags, place)
        spot_drop(&at)
        self._check(<int>error if error < 0 else 0, path)

    def slots(self):
        """Return what every record says: (ino, device, uid, gid, mode, rdev, flags, mode on the disk, tail)."""
        cdef uint32_t i
        cdef const store_slot *slot
        found = []
        if self.s.map == NULL:
            return found
        for i in range(store_head(self.s).slots * 2):
            slot = store_entry(self.s, i)
            if slot != NULL:
                tail = self._tail(slot.tail)
                found.append((slot.ino, slot.device, slot.uid, slot.gid, slot.mode, slot.rdev, slot.flags, slot.left, tail))
        return found

    def keys(self, list paths):
        """Return the key of the record of each file that has one (see collect)."""
        cdef Truth f
        cdef Spot at
        found = []
        for path in paths:
            try:
                self._find(path, &f, &at)
            except OSError:
                continue
            spot_drop(&at)
            if f.found:
                found.append(store_key(&f.slot))
        return found

    def collect(self, list keys, uint64_t since):
        """Forget all records but those with these keys and those made since then (ns); what is kept is written anew."""
        cdef uint64_t *array
        cdef size_t i = 0
        array = <uint64_t *>malloc(8 * len(keys) + 8)
        if array == NULL:
            raise MemoryError
        for key in sorted(keys):
            array[i] = key
            i += 1
        error = store_collect(self.s, array, i, since)
        free(array)
        self._check(error, bytes(self.s.path))

    @property
    def number(self):
        """Which tails and names belong to the store: a part of their files' names."""
        return store_head(self.s).tail_number if self.s.map != NULL else 0


def repair_owners(bytes path, bytes root):
    """Make a damaged store usable again, with the records that are whole; say whether it was damaged.  Raises OSError."""
    cdef file_facts facts
    cdef int fd = c_open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)
    cdef int error = -errno if fd < 0 else facts_look(fd, b"", 0, 0, &facts)
    if error == 0:
        error = store_repair(path, b"" if root == b"/" else root, facts.dev, facts.ino, facts_handle(fd, False))
    if fd >= 0:
        c_close(fd)
    if error < 0:
        raise OSError(-error, _os.strerror(-error), path)
    return error > 0
