#include "lib/addr.h"

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>

#include "lib/own.h"
#include "tests/unit/unit.h"

static union addr
parsed(const char *text)
{
	union addr a;
	socklen_t len;

	assert_int_equal(addr_parse(text, 8001, &a, &len), 0);
	return a;
}

static void
parse_and_format(void **state)
{
	static const struct {
		const char *text, *host, *full;
		socklen_t len;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1:8001", sizeof(struct sockaddr_in) },
		{ "::", "::", "[::]:8001", sizeof(struct sockaddr_in6) },
		{ "2001:DB8::0:1", "2001:db8::1", "[2001:db8::1]:8001",
		  sizeof(struct sockaddr_in6) },
		{ "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:8001", sizeof(struct sockaddr_in) },
		{ "fe80::1%2", "fe80::1%2", "[fe80::1%2]:8001", sizeof(struct sockaddr_in6) },
		{ "fe80::1%lo", "fe80::1%1", "[fe80::1%1]:8001", sizeof(struct sockaddr_in6) },
		{ "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295",
		  "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295",
		  "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:8001",
		  sizeof(struct sockaddr_in6) },
	};
	char buf[ADDR_TEXT_MAX];
	union addr a;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(addr_parse(rows[i].text, 8001, &a, &len), 0);
		assert_int_equal(len, rows[i].len);
		assert_int_equal(addr_port(&a), 8001);
		assert_string_equal(addr_format_host(&a, buf), rows[i].host);
		assert_string_equal(addr_format(&a, buf), rows[i].full);
	}
}

static void
parse_refuses(void **state)
{
	static const char *const rows[] = {
		"",
		" 192.0.2.1",
		"192.0.2.1 ",
		"192.0.2",
		"192.0.2.256",
		"0x7f.0.0.1",
		"192.0.2.1:80",
		"192.0.2.1%2",
		"[::1]",
		":::",
		"::1%",
		"::1%0",
		"::1%no-such-interface",
		"::1%4294967296",
		"localhost",
		"1:2:3:4:5:6:7:8:9",
		"1111111111111111111111111111111111111111111111111111"
	};
	union addr a;
	socklen_t len = 77;

	(void)state;
	memset(&a, 0x55, sizeof(a));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(addr_parse(rows[i], 1, &a, &len), -EINVAL);
	assert_int_equal(len, 77);
	assert_int_equal(a.sa.sa_family, 0x5555);
}

static void
a_foreign_family_is_harmless(void **state)
{
	union addr a = { .sa = { .sa_family = AF_UNIX } };
	struct subnet s, any4, any6;
	char buf[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(addr_format_host(&a, buf), "unknown");
	assert_int_equal(addr_port(&a), 0);
	assert_false(addr_is_loopback(&a));
	assert_int_equal(subnet_parse("0.0.0.0/0", &any4), 0);
	assert_int_equal(subnet_parse("::/0", &any6), 0);
	assert_false(subnet_has(&any4, &a));
	assert_false(subnet_has(&any6, &a));
	s = addr_source(&a);
	assert_false(subnet_equal(&s, &any4));
	assert_false(subnet_has(&s, &a)); /* nothing is not in nothing */
}

static void
loopback(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} rows[] = {
		{ "127.0.0.1", true },  { "127.255.255.254", true },
		{ "::1", true },        { "::ffff:127.0.0.9", true },
		{ "128.0.0.1", false }, { "126.255.255.255", false },
		{ "::2", false },       { "::", false },
		{ "0.0.0.0", false },   { "::127.0.0.1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		union addr a = parsed(rows[i].text);

		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
	}
}

static void
normalise_keeps_the_port(void **state)
{
	union addr a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(99) } };

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &a.in6.sin6_addr), 1);
	addr_normalise(&a);
	assert_int_equal(a.sa.sa_family, AF_INET);
	assert_int_equal(ntohs(a.in.sin_port), 99);
	assert_int_equal(ntohl(a.in.sin_addr.s_addr), 0x0a010203);
}

static void
subnets(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *format;
	} rows[] = {
		{ "172.16.10.0/24", 0, "172.16.10.0/24" },
		{ "172.16.10.0/255.255.255.0", 0, "172.16.10.0/24" },
		{ "192.0.2.7", 0, "192.0.2.7/32" },
		{ "0.0.0.0/0", 0, "0.0.0.0/0" },
		{ "0.0.0.0/0.0.0.0", 0, "0.0.0.0/0" },
		{ "10.0.0.1/255.255.255.255", 0, "10.0.0.1/32" },
		{ "10.128.0.0/9", 0, "10.128.0.0/9" },
		{ "2001:db8::/32", 0, "2001:db8::/32" },
		{ "::1", 0, "::1/128" },
		{ "::/0", 0, "::/0" },
		{ "::ffff:10.0.0.0/104", 0, "10.0.0.0/8" },
		{ "::ffff:10.0.0.1", 0, "10.0.0.1/32" },
		{ "172.16.10.5/24", -ERANGE, "172.16.10.0/24" },
		{ "172.16.10.5/255.255.0.0", -ERANGE, "172.16.0.0/16" },
		{ "10.128.0.0/8", -ERANGE, "10.0.0.0/8" },
		{ "1.2.3.4/0", -ERANGE, "0.0.0.0/0" },
		{ "2001:db8:1::/33", -ERANGE, "2001:db8::/33" },
		{ "::ffff:10.0.0.1/104", -ERANGE, "10.0.0.0/8" },
	};
	char buf[ADDR_TEXT_MAX];
	struct subnet s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(subnet_parse(rows[i].text, &s), rows[i].r);
		assert_string_equal(subnet_format(&s, buf), rows[i].format);
	}
}

static void
subnets_refused(void **state)
{
	static const char *const rows[] = { "",
					    "/",
					    "/8",
					    "10.0.0.0/",
					    "10.0.0.0/33",
					    "10.0.0.0/-1",
					    "10.0.0.0/+8",
					    "10.0.0.0/ 8",
					    "10.0.0.0/8 ",
					    "10.0.0.0/8/8",
					    "10.0.0.0/255.0.255.0",
					    "10.0.0.0/0.0.0.255",
					    "10.0.0.0/::",
					    "10/8",
					    "::/129",
					    "::/255.0.0.0",
					    "::/ffff::",
					    "fe80::1%1/64",
					    "localhost/8",
					    "10.0.0.0/4294967304",
					    "10.0.0.0/18446744073709551624" };
	struct subnet s = { .bits = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(subnet_parse(rows[i], &s), -EINVAL);
	assert_int_equal(s.bits, 77);
}

static void
membership(void **state)
{
	static const struct {
		const char *subnet, *addr;
		bool has;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "10.128.0.0/9", "10.127.255.255", false },
		{ "10.128.0.0/9", "10.128.0.0", true },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "::1", true },
		{ "::/0", "203.0.113.9", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.6", false },
	};
	struct subnet s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		union addr a = parsed(rows[i].addr);

		assert_int_equal(subnet_parse(rows[i].subnet, &s), 0);
		assert_int_equal(subnet_has(&s, &a), rows[i].has);
	}
}

static void
sources(void **state)
{
	union addr v4 = parsed("::ffff:192.0.2.7"), v6 = parsed("2001:db8:1:2:3::4");
	union addr near = parsed("2001:db8:1:2:ffff::"), far = parsed("2001:db8:1:3::");
	struct subnet a = addr_source(&v4), b = addr_source(&v6), c = addr_source(&near),
		      d = addr_source(&far);
	char buf[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(subnet_format(&a, buf), "192.0.2.7/32");
	assert_string_equal(subnet_format(&b, buf), "2001:db8:1:2::/64");
	assert_true(subnet_equal(&b, &c));
	assert_false(subnet_equal(&b, &d));
	assert_false(subnet_equal(&a, &b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_and_format),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(a_foreign_family_is_harmless),
		cmocka_unit_test(loopback),
		cmocka_unit_test(normalise_keeps_the_port),
		cmocka_unit_test(subnets),
		cmocka_unit_test(subnets_refused),
		cmocka_unit_test(membership),
		cmocka_unit_test(sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
