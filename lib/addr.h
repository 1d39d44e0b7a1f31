/*
 * Socket addresses and subnets. IPv4-mapped IPv6 addresses are treated as IPv4 everywhere.
 * Pure, no look-ups, no logging; fuzz/fuzz_addr.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <netinet/in.h>

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct subnet {
	uint8_t bytes[16]; /* network order; IPv4 in the first four */
	uint8_t bits;
	uint8_t family; /* AF_INET, AF_INET6 */
};

enum { ADDR_TEXT_MAX = 64 };

/* "192.0.2.1", "::", "fe80::1%2"; port in host order. 0 or -EINVAL. */
int addr_parse(const char *text, uint16_t port, union addr *ret, socklen_t *ret_len);

/* From the bytes of a packet or a header: network order, 4 of AF_INET or 16 of AF_INET6; port in
 * host order. IPv4-mapped becomes IPv4. 0 or -EINVAL. */
int addr_from_bytes(int family, const void *bytes, uint16_t port, union addr *ret);

/* "192.0.2.1:8001", "[::1]:8001"; addr_format_host without the port. Return buf. */
const char *addr_format(const union addr *a, char *buf);
const char *addr_format_host(const union addr *a, char *buf);

/* IPv4-mapped becomes IPv4. */
void addr_normalise(union addr *a);
bool addr_is_loopback(const union addr *a);
uint16_t addr_port(const union addr *a);

/* "172.16.10.0/24", "172.16.10.0/255.255.255.0", "2001:db8::/32", a lone address (all bits).
 * 0; -EINVAL: not a subnet; -ERANGE: host bits are set, *ret is the network it probably means. */
int subnet_parse(const char *text, struct subnet *ret);
const char *subnet_format(const struct subnet *s, char *buf);
bool subnet_has(const struct subnet *s, const union addr *a);

/* The source an address counts as: itself (/32) for IPv4, its /64 for IPv6. */
struct subnet addr_source(const union addr *a);
bool subnet_equal(const struct subnet *a, const struct subnet *b);
/* For tables of sources: equal subnets have equal ones. */
uint32_t subnet_hash(const struct subnet *s);
