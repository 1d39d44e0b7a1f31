#include "lib/addr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <net/if.h>

#include "lib/num.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

/* Number or name of an interface. */
static int
parse_scope(const char *text, uint32_t *ret)
{
	uint64_t v;

	if (num_parse_u64(text, UINT32_MAX, &v) < 0)
		v = if_nametoindex(text);
	if (v == 0)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

int
addr_parse(const char *text, uint16_t port, union addr *ret, socklen_t *ret_len)
{
	union addr a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };
	const char *scope = strchr(text, '%');
	char host[INET6_ADDRSTRLEN];
	size_t n = scope != NULL ? (size_t)(scope - text) : strlen(text);

	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		if (scope != NULL && parse_scope(scope + 1, &a.in6.sin6_scope_id) < 0)
			return -EINVAL;
		addr_normalise(&a);
	} else {
		a = (union addr){ .in = { .sin_family = AF_INET, .sin_port = htons(port) } };
		if (scope != NULL || inet_pton(AF_INET, host, &a.in.sin_addr) != 1)
			return -EINVAL;
	}
	*ret = a;
	*ret_len = a.sa.sa_family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
	return 0;
}

int
addr_from_bytes(int family, const void *bytes, uint16_t port, union addr *ret)
{
	union addr a;

	if (family == AF_INET) {
		a = (union addr){ .in = { .sin_family = AF_INET, .sin_port = htons(port) } };
		memcpy(&a.in.sin_addr, bytes, sizeof(a.in.sin_addr));
	} else if (family == AF_INET6) {
		a = (union addr){ .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };
		memcpy(&a.in6.sin6_addr, bytes, sizeof(a.in6.sin6_addr));
		addr_normalise(&a);
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

const char *
addr_format_host(const union addr *a, char *buf)
{
	char host[INET6_ADDRSTRLEN];
	union addr n = *a;

	addr_normalise(&n);
	if (n.sa.sa_family == AF_INET)
		(void)inet_ntop(AF_INET, &n.in.sin_addr, buf, ADDR_TEXT_MAX);
	else if (n.sa.sa_family != AF_INET6)
		(void)snprintf(buf, ADDR_TEXT_MAX, "unknown");
	else if (n.in6.sin6_scope_id == 0)
		(void)inet_ntop(AF_INET6, &n.in6.sin6_addr, buf, ADDR_TEXT_MAX);
	else
		(void)snprintf(buf, ADDR_TEXT_MAX, "%s%%%u",
			       inet_ntop(AF_INET6, &n.in6.sin6_addr, host, sizeof(host)),
			       n.in6.sin6_scope_id);
	return buf;
}

const char *
addr_format(const union addr *a, char *buf)
{
	char host[ADDR_TEXT_MAX];

	(void)addr_format_host(a, host);
	(void)snprintf(buf, ADDR_TEXT_MAX, strchr(host, ':') != NULL ? "[%.56s]:%u" : "%.56s:%u",
		       host, addr_port(a));
	return buf;
}

void
addr_normalise(union addr *a)
{
	union addr v4;

	if (a->sa.sa_family != AF_INET6 ||
	    memcmp(&a->in6.sin6_addr, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return;
	v4 = (union addr){ .in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port } };
	memcpy(&v4.in.sin_addr, a->in6.sin6_addr.s6_addr + sizeof(mapped_prefix),
	       sizeof(v4.in.sin_addr));
	*a = v4;
}

uint16_t
addr_port(const union addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohs(a->in.sin_port);
	return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

/* The address as a subnet of itself; family AF_UNSPEC where it is no internet address. */
static struct subnet
of_address(const union addr *a)
{
	struct subnet s = { .family = AF_UNSPEC };
	union addr n = *a;

	addr_normalise(&n);
	if (n.sa.sa_family == AF_INET) {
		s = (struct subnet){ .family = AF_INET, .bits = 32 };
		memcpy(s.bytes, &n.in.sin_addr, 4);
	} else if (n.sa.sa_family == AF_INET6) {
		s = (struct subnet){ .family = AF_INET6, .bits = 128 };
		memcpy(s.bytes, &n.in6.sin6_addr, 16);
	}
	return s;
}

bool
addr_is_loopback(const union addr *a)
{
	struct subnet s = of_address(a);

	if (s.family == AF_INET)
		return s.bytes[0] == 127;
	return s.family == AF_INET6 && memcmp(s.bytes, &in6addr_loopback, sizeof(s.bytes)) == 0;
}

/* Clears all but the first bits; whether any was set there. */
static bool
clear_host_bits(struct subnet *s, unsigned bits)
{
	bool had = false;

	for (unsigned i = 0; i < sizeof(s->bytes); i++) {
		unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
		unsigned mask = keep >= 8 ? 0xffU : 0xff00U >> keep & 0xffU;

		had |= (s->bytes[i] & ~mask) != 0;
		s->bytes[i] = (uint8_t)(s->bytes[i] & mask);
	}
	s->bits = (uint8_t)bits;
	return had;
}

/* "24", or for IPv4 "255.255.255.0": how many bits, or -EINVAL. */
static int
parse_mask(const char *text, const struct subnet *s)
{
	struct in_addr mask;
	uint32_t host;
	uint64_t bits;

	if (num_parse_u64(text, s->bits, &bits) == 0)
		return (int)bits;
	if (s->family != AF_INET || inet_pton(AF_INET, text, &mask) != 1)
		return -EINVAL;
	host = ~ntohl(mask.s_addr);
	if ((host & (host + 1)) != 0) /* ones, then zeros, else it is no mask */
		return -EINVAL;
	return 32 - __builtin_popcount(host);
}

/* "::ffff:192.0.2.0/120" is 192.0.2.0/24. */
static void
normalise_subnet(struct subnet *s)
{
	enum { BEFORE = 8 * sizeof(mapped_prefix) };

	if (s->family != AF_INET6 || s->bits < BEFORE ||
	    memcmp(s->bytes, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return;
	memmove(s->bytes, s->bytes + sizeof(mapped_prefix), 4);
	memset(s->bytes + 4, 0, sizeof(s->bytes) - 4);
	s->bits = (uint8_t)(s->bits - BEFORE);
	s->family = AF_INET;
}

int
subnet_parse(const char *text, struct subnet *ret)
{
	struct subnet s = { 0 };
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char host[INET6_ADDRSTRLEN];
	bool had;
	int bits;

	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, s.bytes) == 1) {
		s.family = AF_INET;
		s.bits = 32;
	} else if (inet_pton(AF_INET6, host, s.bytes) == 1) {
		s.family = AF_INET6;
		s.bits = 128;
	} else {
		return -EINVAL;
	}
	bits = slash != NULL ? parse_mask(slash + 1, &s) : s.bits;
	if (bits < 0)
		return bits;
	had = clear_host_bits(&s, (unsigned)bits);
	normalise_subnet(&s);
	*ret = s;
	return had ? -ERANGE : 0;
}

const char *
subnet_format(const struct subnet *s, char *buf)
{
	char host[INET6_ADDRSTRLEN];

	if (inet_ntop(s->family, s->bytes, host, sizeof(host)) == NULL)
		(void)snprintf(buf, ADDR_TEXT_MAX, "unknown");
	else
		(void)snprintf(buf, ADDR_TEXT_MAX, "%s/%u", host, s->bits);
	return buf;
}

bool
subnet_has(const struct subnet *s, const union addr *a)
{
	struct subnet of = of_address(a);

	if (of.family == AF_UNSPEC || of.family != s->family)
		return false;
	(void)clear_host_bits(&of, s->bits);
	return subnet_equal(&of, s);
}

struct subnet
addr_source(const union addr *a)
{
	struct subnet s = of_address(a);

	if (s.family == AF_INET6)
		(void)clear_host_bits(&s, 64);
	return s;
}

bool
subnet_equal(const struct subnet *a, const struct subnet *b)
{
	return a->family == b->family && a->bits == b->bits &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* FNV-1a (Fowler, Noll, Vo) */
uint32_t
subnet_hash(const struct subnet *s)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < sizeof(s->bytes); i++)
		h = (h ^ s->bytes[i]) * 16777619U;
	return h;
}
