# A session without network: internet addresses are refused but for those of this machine, as in a network name space with a loopback only.
#
# No boundary: what has been connected before, other families of addresses, and programs of the machine that go out for others are left
# alone.
#
# Decides: which addresses are this machine's.

cdef enum:
    AF_UNSPEC_ = 0
    AF_INET_ = 2
    AF_INET6_ = 10
    INET_SIZE = 16           # of struct sockaddr_in
    INET6_SIZE = 28

cdef inline bint is_own_address(const unsigned char *four) noexcept nogil:
    """Say whether an address of IPv4 is a loopback's, or none: that means all of this machine's, or its loopback."""
    return four[0] == 127 or (four[0] == 0 and four[1] == 0 and four[2] == 0 and four[3] == 0)

cdef int network_judge(Tracee *t, uint64_t pointer, uint64_t size) noexcept nogil:
    """Judge the address of a call: 0, or -ENETUNREACH."""
    cdef unsigned char given[INET6_SIZE]
    cdef unsigned char zero[16]
    cdef uint16_t family
    if size < INET_SIZE or mem_read(t.tid, pointer, given, INET6_SIZE if size > INET6_SIZE else size) < 0:
        # EINVAL, EFAULT
        return 0
    memcpy(&family, given, 2)
    if family == AF_INET_ or (family == AF_UNSPEC_ and t.call.nr != NR_connect):
        # (a datagram's may be without a family)
        return 0 if is_own_address(given + 4) else -ENETUNREACH
    if family != AF_INET6_ or size < INET6_SIZE - 4:
        return 0
    memset(zero, 0, sizeof(zero))
    if memcmp(given + 8, zero, 15) == 0 and given[23] <= 1:
        return 0
    # (one of IPv4 within IPv6)
    if memcmp(given + 8, zero, 10) == 0 and given[18] == 0xff and given[19] == 0xff and is_own_address(given + 20):
        return 0
    return -ENETUNREACH

cdef void network_begin(View *v, const char *text) noexcept nogil:
    if text != NULL:
        set_address_judge(network_judge)
    else:
        set_address_judge(NULL)

cdef void feature_network(Feature *f) noexcept nogil:
    f.begin = network_begin
