"""Say of a directory and a file what calls answer that ask for their type: `covers.py DIRECTORY FILE`, the paths as the guest has them."""

import errno
import os
import stat
import sys


def told(call, *arguments):
    """Give the answer of a call, or its error; of a descriptor and a stat result only that there is one."""
    try:
        answer = call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return answer if isinstance(answer, list) else "yes"


top = os.path.dirname(sys.argv[1])
listed = {entry.path: entry for entry in os.scandir(top)}
for kind, path in (("directory", sys.argv[1]), ("file", sys.argv[2])):
    entry = listed[path]
    print(kind, "listed", entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False))
    print(kind, "types", {stat.S_IFMT(call(path).st_mode) for call in (os.stat, os.lstat)})
    for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_PATH):
        print(kind, "open", oct(flags), told(os.open, path, flags), told(os.open, path + "/", flags), told(os.open, path + "/.", flags))
    for name in ("listdir", "rmdir", "unlink", "mkdir", "chdir", "readlink"):
        print(kind, name, told(getattr(os, name), path))
        os.chdir("/")
    for other in (path + ".moved", top + "/plain"):
        print(kind, "rename", told(os.rename, path, other), told(os.rename, other, path), told(os.link, path, other))
    print(kind, "inside", told(os.open, path + "/new", os.O_WRONLY | os.O_CREAT), told(os.unlink, path + "/new"))
    print(kind, "beside", told(os.stat, path + "/../plain"))
    print(kind, "content", told(os.truncate, path, 2), told(os.symlink, "x", path))
