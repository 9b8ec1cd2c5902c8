# What an architecture provides: the one written surface between the core and the machine.
#
# A folder here is one architecture.  x86_64 is a machine, with all of the first list; i386 is the ABI beside it, with all of the second.
# Outside of these folders nobody names a register, a number of a call, or a value that differs on another machine: calls are named
# NR_NAME and COMPAT_NR_NAME, and what a machine lacks is -1, the number of no call.  tests/test_arch.py reads the lists here, and looks.
#
# Each machine provides
#   one register of a stopped tracee, read (0 or -ESRCH) or set (0 or -errno):
#     reg_ip                 where it goes on
#     reg_result             the call's result
#     reg_set_ip
#     reg_set_nr             the number of the call at hand; -1: there is none, and it is skipped
#     reg_set_result
#     reg_set_arg            one argument of the call at hand
#     reg_change             several of them, and where the call returns to: at once where registers are set as a part of a set
#     runs_wide              whether it runs code of the machine's own width; not always so for a call of that ABI
#   a set of them (struct Registers, which is nobody else's to look into), read and written in one request each:
#     regs_get
#     regs_set
#     regs_number            the number of the call at hand
#     regs_first             its first argument
#     regs_result
#     regs_restore           put the guest's own arguments of a rewritten call back, and where it goes on (out of a stub)
#     regs_repeat            stand before the call's instruction, to make it again
#     regs_renumber          give the call in progress, if there is one, the number that the kernel restarts it by
#     regs_no_call           let the kernel restart nothing
#     regs_return            be after a call that has this result
#     regs_program           what execve(2) gives a new program
#     regs_failed            why the loader has given up, if it has
#     call_inject            make the tracee run a call of ours next, in the machine's own mode, whatever it stopped in
#   return stubs, by which a rewritten call goes back (guest/loader.h):
#     ip_in_stub
#     stub_for               where a call returns to whose slot is in this argument
#     stub_for_open          the same for an openat2 that the stub makes again where it meets a link
#     stub_start             where such a call is made again
#     stub_pointer           the argument that the stub at an address has the slot in, -1: that is not a stub
#     stub_is_before         whether a stub is about to make its call
#     stub_opens             whether it is that for openat2 ...
#     stub_open_fresh        ... and has not looked at the result yet
#   instructions:
#     SYSCALL_SIZE           bytes of the one that makes a call, of both ABIs
#     is_call_code           whether an instruction enters the kernel
#     CODE_FILL              a byte that is a trap wherever it is met
#   places, and the loader (guest/loader.h has them as they are without a shift):
#     MACHINE                its name, in the names of files
#     ARCH_NATIVE            what seccomp(2) calls its ABI (AUDIT_ARCH_)
#     shift_of               how far the loader's pages lie from there in a pyroot so deep within others, or in such an address space
#     loader_moved           the loader's file for pages that are shifted
#   the gate, where there is one:
#     HAS_GATE
#     SITE_SIZE              bytes of a site, from what becomes a jump to the end of its call
#     SITE_ROOM              more than site_form reads
#     site_form              read a site, and say whether it can be led
#     is_plain_site          whether code that nobody has run is a site for certain
#     PLAIN_BEFORE           bytes that this reads before the instruction that makes the call
#     PLAIN_SIZE             ... and in all
#     GATE_MOV               bytes of a site before that instruction
#     SYSCALL_FIRST          the first byte of the instruction
#     number_at              the number in a site's code
#     gate_out               take a tracee out of the gate
#     gate_resume            take it out of a detour
#   requests of ptrace(2) that only this machine has:
#     machine_request        how much one moves, and in which direction
#     machine_word           whether one asks for a word
#     PTRACE_SYSEMU_
#     PTRACE_SINGLEBLOCK_
#   values of flags:
#     OPEN_FLAGS             what open(2) looks at; it ignores the rest, where openat2(2) says EINVAL (VALID_OPEN_FLAGS)
#     OPEN_PATH_FLAGS        what it looks at with O_PATH
#     OPENAT2_FLAGS          what openat2(2) takes
#     O_TMPFILE_             the bit of O_TMPFILE that is its own
#   calls of our own, in C:
#     pyroot_raw             a call without the C library: its result or -errno
#
# Each ABI provides, as native_NAME or as compat_NAME
#     idle                   the number of a call that does nothing
#     follows                the number of the call that does the same and follows links, 0 if there is none
#     links                  where the struct stat that a call writes has the number of links
#     statfs                 ... and where a struct statfs has the flags of the mount, -1 if the call writes none
#     elf                    whether a program for this e_machine is one of its own
#
# The second ABI provides besides
#     ARCH_COMPAT            as ARCH_NATIVE
#     COMPAT_MACHINE         as MACHINE
#     COMPAT_LAST_CALL       its greatest number
#     compat_rows            its table of calls
#     compat_shift_of        as shift_of, of its loader
#     compat_socketcall      the sub-calls of socketcall(2)
#     code_enter             code in a slot, by which a call returns where no register is free to return through (slot_code.pxi): the call
#     code_mov               ... a constant into the register of an argument
#     code_jump              ... the way back
#     CODE_MOST              ... bytes of all of it but the call
#
# What differs elsewhere, and where it fits.  aarch64 reads and writes sets only (no PTRACE_POKEUSER): reg_change is one request there,
# of the registers up to the last one that changes, and the number is a set of its own, so struct Registers has two parts.  No register
# is free for a shared stub to return through: stub_for is given the tracee, so each site may have its own stub.  Before a stop for a
# signal the kernel has moved the instruction pointer back, and it looks at it once more afterwards: so stub_leave (gate_leave.pxi) has to
# let it deliver the signal first, and mend the handler's frame.  Where the loader can lie depends on the size of the address space: see
# shift_of.

cdef extern from * nogil:
    """
    struct pyroot_syscall_info { unsigned char op; unsigned char pad[3]; unsigned arch; unsigned long long ip, sp;
        unsigned long long nr, args[6]; unsigned ret_data; unsigned pad2; };
    """
    struct pyroot_syscall_info:
        uint8_t op
        uint32_t arch
        uint64_t ip, sp
        uint64_t nr
        uint64_t args[6]
        unsigned int ret_data

cdef enum:
    INFO_NONE = 0
    INFO_ENTRY = 1
    INFO_EXIT = 2
    INFO_SECCOMP = 3

cdef enum:
    PTRACE_SET_SYSCALL_INFO = 0x4212

cdef pyroot_syscall_info call_info     # of the stop at hand
