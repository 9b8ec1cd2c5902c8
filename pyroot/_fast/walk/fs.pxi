# fs_structs (clone(2)): tasks that share a root and a working directory.

cdef Fs *fs_copy(Fs *old) noexcept nogil:
    cdef Fs *fs = <Fs *>calloc(1, sizeof(Fs))
    if fs != NULL:
        fs.refs = 1
        fs.cwd = -1
        fs.bind = old.bind if old != NULL else -1
        if old != NULL and old.root != NULL:
            fs.root = old.root
            fs.root.refs += 1
    return fs

cdef void fs_drop(Fs *fs) noexcept nogil:
    if fs == NULL:
        return
    fs.refs -= 1
    if fs.refs == 0:
        nested_drop(fs.root)
        fs_forget_cwd(fs)
        free(fs)

cdef void fs_forget_cwd(Fs *fs) noexcept nogil:
    if fs != NULL and fs.cwd >= 0:
        c_close(fs.cwd)
        fs.cwd = -1

cdef void nested_drop(NestedRoot *r) noexcept nogil:
    if r == NULL:
        return
    r.refs -= 1
    if r.refs == 0:
        c_close(r.fd)
        free(r.text)
        free(r)
