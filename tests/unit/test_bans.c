#include "daemon/supervisor/bans.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static struct bans bans;

static int
set_up(void **state)
{
	(void)state;
	bans.n = 0;
	return 0;
}

static int
add(const char *net, uint64_t until)
{
	struct subnet s;

	assert_int_equal(subnet_parse(net, &s), 0);
	return bans_add(&bans, &s, 1000, until);
}

static const struct ban *
find(const char *address, uint64_t now)
{
	socklen_t len;
	union addr a;

	assert_int_equal(addr_parse(address, 1, &a, &len), 0);
	return bans_find(&bans, &a, now);
}

static void
addresses_and_subnets(void **state)
{
	(void)state;
	assert_int_equal(add("192.0.2.0/24", UINT64_MAX), 0);
	assert_int_equal(add("2001:db8::1", UINT64_MAX), 0);
	assert_non_null(find("192.0.2.7", 1000));
	assert_non_null(find("::ffff:192.0.2.7", 1000));
	assert_null(find("192.0.3.7", 1000));
	assert_non_null(find("2001:db8::1", 1000));
	assert_null(find("2001:db8::2", 1000));
}

/* The longest that has the address counts, and a second ban of the same replaces the first. */
static void
they_end(void **state)
{
	(void)state;
	assert_int_equal(add("192.0.2.7", 2000), 0);
	assert_int_equal(add("192.0.2.0/24", 3000), 0);
	assert_true(find("192.0.2.7", 1000)->until_usec == 3000);
	assert_null(find("192.0.2.7", 3000));
	assert_int_equal(add("192.0.2.0/24", 1500), 0);
	assert_int_equal(bans.n, 2);
	assert_true(find("192.0.2.7", 1000)->until_usec == 2000);
	bans_expire(&bans, 1500);
	assert_int_equal(bans.n, 1);
}

static void
they_are_lifted(void **state)
{
	struct subnet s;

	(void)state;
	assert_int_equal(add("192.0.2.0/24", UINT64_MAX), 0);
	assert_int_equal(subnet_parse("192.0.2.7", &s), 0);
	assert_int_equal(bans_remove(&bans, &s, 1000), -ENOENT);
	assert_int_equal(subnet_parse("192.0.2.0/24", &s), 0);
	assert_int_equal(bans_remove(&bans, &s, 1000), 0);
	assert_null(find("192.0.2.7", 1000));
}

static void
there_are_not_too_many(void **state)
{
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (int i = 0; i < BANS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "10.0.%d.%d", i / 256, i % 256);
		assert_int_equal(add(text, i == 7 ? 999 : UINT64_MAX), 0);
	}
	assert_int_equal(add("192.0.2.1", UINT64_MAX), 0); /* the seventh was over */
	assert_int_equal(add("192.0.2.2", UINT64_MAX), -ENOSPC);
	assert_int_equal(add("192.0.2.1", 5000), 0);
	assert_int_equal(bans.n, BANS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(addresses_and_subnets, set_up),
		cmocka_unit_test_setup(they_end, set_up),
		cmocka_unit_test_setup(they_are_lifted, set_up),
		cmocka_unit_test_setup(there_are_not_too_many, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
