"""The mutations: one check of the translator, of the gate or of the table each, the text that takes its place, and who should notice.

``python -m tests.mutations`` applies them; tests/test_mutations.py sees to it that each text occurs exactly once in its file.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One check, and what becomes of it."""

    name: str
    file: str
    """Below ``pyroot/``."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Arguments for pytest, beside tests/test_ways.py, which is tried first."""
    races: tuple[str, ...] = ()
    """FUZZER:SEED of races in which the check counts: what is read there is counted, too, where a net is on."""


POINTERS, RACES = "tests/test_pointers.py", "tests/test_races.py"
LINKS, DOTS, FILES = "race:1", "race:2", "race:3"
GATE = "tests/test_gate.py"

MUTATIONS: tuple[Mutation, ...] = (
    # --- the walk
    Mutation("the root's .. is the host's root", "_fast/walk/place.pxi",
             "    if w.bi < 0 or w.glen == 0:\n        return 0\n",
             "    if w.bi < 0:\n        return 0\n    if w.glen == 0:\n        return walk_to_host(w, b\"/\", 1, -1)\n", ()),
    Mutation("a binding's .. is its host side's", "_fast/walk/place.pxi",
             "    result = walk_to_guest(w, w.g, n)\n    if result == 0 and fd >= 0:\n",
             "    if w.bi > 0 and w.glen == w.v.b[w.bi].guestlen:\n"
             "        return walk_to_host(w, w.h, <int>(strrchr(w.h, c'/') - w.h), -1)\n"
             "    result = walk_to_guest(w, w.g, n)\n    if result == 0 and fd >= 0:\n", ()),
    Mutation("a link's absolute text begins at the host's root", "_fast/walk/canon.pxi",
             "        return result if result < 0 else walk_start_absolute(w)\n",
             "        return result if result < 0 else walk_to_host(w, b\"/\", 1, -1)\n", ()),
    Mutation("links are not followed by the walk", "_fast/walk/canon.pxi",
             "    if S_ISLNK(st.st_mode):\n        link_seen",
             "    if False:\n        link_seen", ()),
    Mutation("a path with .. is proven by the kernel", "_fast/walk/proof.pxi",
             "w.resolve or has_dotdot(p):", "w.resolve:", ()),
    Mutation("the proof is one of nothing", "_fast/walk/proof.pxi",
             "    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH\n", "    how.resolve = 0\n", ()),
    Mutation("a directory's descriptor is not looked up", "_fast/calls/paths.pxi",
             "    if path[0] != c'/' or w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):\n        result = walk_to_fd(w, t, dirfd)\n",
             "    if path[0] != c'/' or w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):\n        result = walk_to_fd(w, t, AT_FDCWD)\n",
             ("tests/test_syscall_rows.py", "tests/test_removed.py")),
    Mutation("names of mount points are not looked up", "_fast/walk/canon.pxi",
             "        bound = e != NULL and e.bind >= 0\n", "        bound = False\n", ("tests/test_edges.py", "tests/test_binding.py")),
    Mutation("mount points are not crossed where the kernel proves", "_fast/walk/proof.pxi",
             "            if e != NULL and e.bind >= 0:\n                w.isbind = True\n",
             "            if False:\n                w.isbind = True\n",
             ("tests/test_binding.py",)),
    Mutation("the held directory may have been moved", "_fast/walk/place.pxi",
             "    return 0 if is_held_at(w) else -ENOENT\n", "    return 0\n", (RACES,), ("race:6",)),
    Mutation("a nested root has something above it", "_fast/walk/nested.pxi",
             "    if not r.gone:\n        return w.bi >= 0 and w.glen", "    if not r.gone:\n        return False and w.glen",
             ("tests/test_nested_root.py",)),
    # --- /proc
    Mutation("/proc/self/root is the host's root", "_fast/walk/magic.pxi",
             "    if kind == MAGIC_ROOT:\n        return walk_to_root_of(w, t.fs)\n",
             "    if kind == MAGIC_ROOT:\n        return walk_to_host(w, b\"/\", 1, -1)\n", ()),
    Mutation("links of processes outside are followed", "_fast/walk/magic.pxi",
             "        # a process outside: its links lead anywhere\n        return -EACCES\n",
             "        return walk_to_host(w, text, textlen, -1) if more else walk_magic_end(w, comp, n, text, textlen, -1)\n", ()),
    Mutation("links of /proc are links like others", "_fast/walk/canon.pxi",
             "            kind = proc_magic(w, comp, n, &pid)\n    if kind",
             "            kind = MAGIC_NONE\n    if kind", ("tests/test_own_descriptors.py",)),
    # --- what the kernel is given
    Mutation("a path that stays is not copied", "_fast/calls/paths.pxi",
             "        if w.givenlen >= 0:\n            edit_bytes(arg, w.given, w.givenlen + 1)\n        return 0\n",
             "        return 0\n",
             (POINTERS,),
             ("pointers-stops:0", "pointers-stops:3")),
    Mutation("an empty path is not copied", "_fast/calls/paths.pxi",
             "        if w.givenlen >= 0:\n            edit_bytes(arg, w.given",
             "        if w.givenlen > 0:\n            edit_bytes(arg, w.given", (POINTERS,)),
    Mutation("a path that cannot be read is left to the kernel", "_fast/calls/paths.pxi",
             "    return TR_FAULT if pointer != 0 else TR_PASS\n", "    return TR_PASS\n", ("tests/test_syscall_rows.py", POINTERS),
             ("pointers-stops:4",)),
    Mutation("a path behind no descriptor is not replaced", "_fast/calls/paths.pxi",
             "        edit_bytes(arg, b\".\", 2)\n        return 0\n", "        return 0\n", (POINTERS,), ("pointers-stops:3",)),
    Mutation("where the walk fails the guest's path is passed on", "_fast/calls/paths.pxi",
             "        edit_bytes(arg, text, <int>strlen(text) + 1)\n        return 0\n    if edit_bytes",
             "        edit_bytes(arg, w.given, w.givenlen + 1)\n        return 0\n    if edit_bytes", ()),
    Mutation("only the first edited argument is set", "_fast/edit/arena.pxi",
             "        which |= 1 << edit.arg[i]\n", "        which |= 1 << edit.arg[0]\n", ()),
    Mutation("the second path is not translated", "_fast/calls/two_paths.pxi",
             "        error = put_path(&W2, r2, row.path2)\n", "        error = 0\n", ()),
    Mutation("an openat2 may follow links", "_fast/calls/opening.pxi",
             "    how.resolve = RESOLVE_NO_SYMLINKS | how.resolve & RESOLVE_CACHED\n", "    how.resolve = how.resolve & RESOLVE_CACHED\n",
             (RACES,), (LINKS, FILES)),
    Mutation("a relative openat2 may follow links", "_fast/calls/opening.pxi",
             "    how.resolve = RESOLVE_NO_SYMLINKS\n    edit_bytes(2, &how",
             "    how.resolve = 0\n    edit_bytes(2, &how", (RACES,),
             (LINKS,)),
    Mutation("open_how is not copied", "_fast/calls/opening.pxi",
             "    edit_bytes(2, how, sizeof(open_how))\n    edit_value(3, sizeof(open_how))\n    return error\n",
             "    return error\n",
             ("tests/test_removed_outside.py", "tests/test_edges.py"),
             ("pointers:21",)),
    Mutation("chdir goes by the text", "_fast/calls/cwd.pxi",
             "t.call.args[0], M_FOLLOW, True)\n", "t.call.args[0], M_FOLLOW, False)\n", (RACES,), (LINKS, "race:5")),
    # --- names that are left to the kernel
    Mutation(".. is a plain name", "_fast/calls/relative.pxi",
             "    if n > 255 or (path[0] == c'.' and (n == 1 or (n == 2 and path[1] == c'.'))) or memchr",
             "    if n > 255 or memchr", ()),
    Mutation("names of mount points are plain", "_fast/calls/relative.pxi",
             "    return v.names[word] & bit == 0 and not (", "    return not (", ("tests/test_single_names.py", "tests/test_binding.py")),
    Mutation("several names are a plain one", "_fast/calls/relative.pxi",
             " or memchr(path, c'/', n) != NULL:\n", ":\n", ()),
    Mutation(".. is one of several plain names", "_fast/calls/relative.pxi",
             "        if i - start > 255 or (i - start == 2 and path[start] == c'.' and path[start + 1] == c'.'):\n",
             "        if i - start > 255:\n", ()),
    Mutation("a link is a plain name that is followed", "_fast/calls/relative.pxi",
             "    result = step_stat(t, dirfd, path, &st)\n    return result == -ENOENT or (result == 0 and not S_ISLNK(st.st_mode))\n",
             "    return True\n", ()),
    # --- programs
    Mutation("an ELF interpreter is the host's", "_fast/calls/programs.pxi",
             "    memcpy(chain.interp, W1.h, W1.hlen + 1)\n",
             "    memcpy(chain.interp, text, strlen(text) + 1)\n",
             ("tests/test_processes.py",)),
    Mutation("a script's interpreter is the host's", "_fast/calls/exec.pxi",
             "    result = exec_resolve(t, name)\n    if result < 0:\n        return result\n",
             "    result = exec_resolve(t, name)\n    W1.hlen = snprintf(W1.h, PATHMAX, b\"%s\", name)\n    walk_drop_file(&W1)\n",
             ("tests/test_processes.py",)),
    # --- sockets
    Mutation("addresses of sockets are not translated", "_fast/calls/sockets.pxi",
             "    if sa.family != AF_UNIX or sa.path[0] == 0:\n        return <int>size\n    sa.path[size - 2] = 0\n",
             "    if sa.family != AF_UNIX or sa.path[0] != 1:\n        return <int>size\n    sa.path[size - 2] = 0\n", ()),
    Mutation("the address of a message is not translated", "_fast/calls/sockets.pxi",
             "    rights_sent(t, &header)\n    n = 0\n    if header.msg_name != NULL:\n",
             "    rights_sent(t, &header)\n    n = 0\n    if False:\n",
             ()),
    Mutation("an address is not copied", "_fast/calls/sockets.pxi",
             "    if sa.family != AF_UNIX or sa.path[0] == 0:\n        return <int>size\n",
             "    if sa.family != AF_UNIX or sa.path[0] == 0:\n        return 0\n",
             (POINTERS,)),
    # --- processes
    Mutation("a keeper is a process like others", "_fast/calls/keepers.pxi",
             "    if pid <= 0:\n        return False\n    if pid == c_getpid()", "    if pid <= 0:\n        return False\n    if pid == -5",
             ("tests/test_keepers.py",)),
    Mutation("the filter does not know the supervisor", "_fast/calls/filter.pxi",
             "PYROOT_HOLDER_MARK:\n        f.k = net.holder if net.holder > 0 and supervisor == c_getpid() else supervisor\n",
             "PYROOT_HOLDER_MARK:\n        f.k = 1\n    if f.code == 0x15 and f.k == <uint32_t>supervisor:\n        f.k = 1\n", ()),
    Mutation("descriptors of processes outside may be taken", "_fast/calls/keepers.pxi",
             "    if owner == NULL and peer_of(t.view, pid, False) == NULL:\n        return answer(t, -EPERM)\n", "", ()),
    Mutation("memory of processes outside may be read", "_fast/calls/processes.pxi",
             "of nobody\")\n    return answer(t, -EPERM)\n", "of nobody\")\n    return R_CONT\n", ()),
    Mutation("clone3 may make a name space", "_fast/calls/processes.pxi",
             "        return answer(t, clone_refused(flags))\n    if not has_arena(t):\n", "        pass\n    if not has_arena(t):\n",
             ("tests/test_syscall_rows.py",)),
    Mutation("clone3's structure is not copied", "_fast/calls/processes.pxi",
             "    edit_start()\n    edit_bytes(0, copy, size)\n    return finish_edit(t)\n", "    return R_CONT\n", (POINTERS,)),
    # --- what stays in guests, what is exempt
    Mutation("what stays may be replaced", "_fast/calls/kept.pxi",
             "    return answer(t, -EPERM) if touched else as_is", "    return as_is", ("tests/test_kept.py",)),
    Mutation("children may begin without what stays", "_fast/calls/kept.pxi",
             "    return answer(t, -EPERM) if kept_touched(t, t.call.args[0], t.call.args[1]) else as_is",
             "    return as_is",
             ("tests/test_kept.py",)),
    Mutation("more addresses are exempt", "syscalls/filters.py",
             "LOADER_TEXT_END = LOADER_TEXT + PLACES.LOADER_TEXT_SIZE\n", "LOADER_TEXT_END = LOADER_TEXT + 0x1d000\n",
             ("tests/test_kept.py",)),
    Mutation("what is refused stops for a feature in its place", "syscalls/filters.py",
             "    if stopping and row is not None and row.refuse and row.when is not None:\n", "    if False:\n",
             ("tests/test_ids.py", "tests/test_syscall_table.py")),
    Mutation("calls from the stubs are let through", "_fast/run/loop.pxi",
             "    if ip_in_text(t.call.ip):\n        # (it still needs",
             "    if ip_in_text(t.call.ip) or ip_in_stub(t.call.ip):\n        # (it still needs",
             ("tests/test_guest_seccomp.py",)),
    Mutation("calls by numbers of i386 are native", "syscalls/filters.py",
             "(JEQ, 1, 0, I386.arch),\n        (RET, 0, 0, RET_ERRNO | ENOSYS),",
             "(JEQ, 0, 0, I386.arch),\n        (RET, 0, 0, RET_ALLOW),", ()),
    # --- the gate
    Mutation("the gate does not know mount points", "guest/gate-paths.h",
             "        text->top = view->bound && marked(view->tops, GATE_TOPS, hash);\n        if (text->top && !(to",
             "        text->top = 0;\n        if (text->top && !(to", (GATE,)),
    Mutation("the gate goes above the root", "guest/gate-paths.h",
             "    if (to == floor)\n        return 0;                           /* of the root, or out of a binding */\n",
             "    (void)floor;\n",
             ()),
    Mutation("the gate leaves .. in relative paths", "guest/gate-paths.h",
             "            if (start[0] == '.' && start[1] == '.' && path - start == 2)\n                return 0;\n", "", ()),
    Mutation("the gate's opens may follow links", "guest/gate.c",
             "    frame->how.resolve = RESOLVE_NO_SYMLINKS;\n    frame->call",
             "    frame->how.resolve = 0;\n    frame->call", (RACES,),
             (LINKS, FILES)),
    Mutation("the gate's proof is one of nothing", "guest/gate-paths.h",
             "    frame->how.resolve = RESOLVE_NO_SYMLINKS;\n    result", "    frame->how.resolve = 0;\n    result", ()),
    Mutation("the gate's relative paths are not copied", "guest/gate.c",
             "    if (frame->relative)\n        frame->args[call.path] = (u64)frame->path;  /* what was looked at",
             "    if (!frame)\n        frame->args[call.path] = (u64)frame->path;  /* what was looked at",
             (POINTERS,), ("pointers:0", "pointers:9")),
    Mutation("the gate follows absolute links from the host's root", "guest/gate-paths.h",
             "    return take(frame, view, whole, text, 0);\n",
             "    if (*whole == '/') {\n        for (int i = 0; i < GATE_PATH && (frame->path[i] = whole[i]); i++)\n"
             "            ;\n        return 1;\n    }\n    return take(frame, view, whole, text, 0);\n", (GATE,)),
    Mutation("the gate leaves names of mount points in relative paths", "guest/gate-paths.h",
             "            if (marked(view->names, GATE_NAMES, hash) || (view->overs", "            if ((view->overs",
             (GATE, "tests/test_single_names.py")),
)
