# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled core: translation of paths and the ptrace supervisor.  A thin door: the parts are in ``_fast/``, in
wings that stand on each other in this order (tests/test_floors.py), and one translation unit."""

# ground: What stands on nothing: externs, memory of guests, texts, what is refused to pyroot itself.
include "_fast/ground/linux.pxi"
include "_fast/ground/rows.pxi"
include "_fast/ground/refused.pxi"
include "_fast/ground/status.pxi"
include "_fast/ground/text.pxi"
include "_fast/ground/mem.pxi"

# view: The view: a root and its bindings, from guest paths to host texts and back.
include "_fast/view/view.pxi"
include "_fast/view/mount_points.pxi"
include "_fast/view/holder.pxi"
include "_fast/view/published.pxi"

# records: What is known: of each tracee, of the session, of its features.
include "_fast/records/tracee.pxi"
include "_fast/records/features.pxi"
include "_fast/records/session.pxi"
include "_fast/records/stats.pxi"
include "_fast/records/traced.pxi"
include "_fast/records/recording.pxi"
include "_fast/records/waiting.pxi"

# arch: The architecture: one folder for each, behind one surface; the only wing that knows registers by name.
include "_fast/arch/surface.pxi"
include "_fast/arch/x86_64/regs_x86_64.pxi"
include "_fast/arch/x86_64/abi_x86_64.pxi"
include "_fast/arch/x86_64/stubs.pxi"
include "_fast/arch/x86_64/requests.pxi"
include "_fast/arch/x86_64/sites.pxi"
include "_fast/arch/x86_64/cpuid.pxi"
include "_fast/arch/i386/rows_i386.pxi"
include "_fast/arch/i386/abi_i386.pxi"
include "_fast/arch/i386/code_i386.pxi"
include "_fast/arch/call.pxi"

# edit: What becomes of a call: it goes on with other arguments, is answered, or is made again; the way back, and what is done at its end.
include "_fast/edit/after.pxi"
include "_fast/edit/arena.pxi"
include "_fast/edit/stub.pxi"
include "_fast/edit/answer.pxi"
include "_fast/edit/slot_code.pxi"

# walk: The walk: where a guest path lies, and nobody else decides it.
include "_fast/walk/gone.pxi"
include "_fast/walk/place.pxi"
include "_fast/walk/magic.pxi"
include "_fast/walk/long_paths.pxi"
include "_fast/walk/fd_bindings.pxi"
include "_fast/walk/start.pxi"
include "_fast/walk/proof.pxi"
include "_fast/walk/canon.pxi"
include "_fast/walk/xdev.pxi"
include "_fast/walk/views.pxi"
include "_fast/walk/nested.pxi"
include "_fast/walk/fs.pxi"
include "_fast/walk/links_met.pxi"
include "_fast/walk/proc_names.pxi"
include "_fast/walk/licences.pxi"

# peers: Other sessions of the same root: what they may know of this one, and their guests.
include "_fast/peers/record.pxi"
include "_fast/peers/peers.pxi"

# gate: The gate: calls that are answered inside the guest, without a stop.
include "_fast/gate/gate.pxi"
include "_fast/gate/gate_leave.pxi"
include "_fast/gate/lowmap.pxi"

# calls: What is done about each kind of call: one handler per kind, by topic.
include "_fast/calls/paths.pxi"
include "_fast/calls/ways.pxi"
include "_fast/calls/bound.pxi"
include "_fast/calls/moving.pxi"
include "_fast/calls/opening.pxi"
include "_fast/calls/two_paths.pxi"
include "_fast/calls/relative.pxi"
include "_fast/calls/cwd.pxi"
include "_fast/calls/programs.pxi"
include "_fast/calls/exec.pxi"
include "_fast/calls/exec_plan.pxi"
include "_fast/calls/failed.pxi"
include "_fast/calls/sockets.pxi"
include "_fast/calls/sockets_back.pxi"
include "_fast/calls/compat.pxi"
include "_fast/calls/listing.pxi"
include "_fast/calls/links.pxi"
include "_fast/calls/mounted.pxi"
include "_fast/calls/chroot.pxi"
include "_fast/calls/seccomp.pxi"
include "_fast/calls/landlock.pxi"
include "_fast/calls/kept.pxi"
include "_fast/calls/keepers.pxi"
include "_fast/calls/copies.pxi"
include "_fast/calls/proctext.pxi"
include "_fast/calls/procfs.pxi"
include "_fast/calls/procmaps.pxi"
include "_fast/calls/processes.pxi"
include "_fast/calls/filter.pxi"

# watch: Who looks on: records of calls, taps; and which CPU a busy tracee shares with the supervisor.
include "_fast/watch/trace.pxi"
include "_fast/watch/tap.pxi"
include "_fast/watch/placement.pxi"

# guests: ptrace(2) among guests, in one session and across two.
include "_fast/guests/ptrace.pxi"
include "_fast/guests/ptrace_calls.pxi"
include "_fast/guests/ptrace_wait.pxi"
include "_fast/guests/ptrace_deaths.pxi"
include "_fast/guests/ptrace_exec.pxi"
include "_fast/guests/relay.pxi"
include "_fast/guests/relay_links.pxi"

# run: A run: from the first fork to the last wait.
include "_fast/run/loop.pxi"
include "_fast/run/turns.pxi"
include "_fast/run/jobs.pxi"
include "_fast/run/net.pxi"
include "_fast/run/signals.pxi"
include "_fast/run/leaving.pxi"
include "_fast/run/limits.pxi"
include "_fast/run/child.pxi"
include "_fast/run/prepare.pxi"
include "_fast/run/handed.pxi"
include "_fast/run/handover.pxi"
include "_fast/run/core.pxi"
include "_fast/run/handlers.pxi"
include "_fast/run/ends.pxi"
include "_fast/run/feature_list.pxi"
