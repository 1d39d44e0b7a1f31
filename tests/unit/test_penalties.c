/* Penalties: they add up, run out, are bounded in time and in number. */
#include "daemon/supervisor/penalties.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define NOW (1000 * USEC_PER_SEC)
#define LONGEST (600 * USEC_PER_SEC)

static struct penalties *table;

static int
set_up(void **state)
{
	(void)state;
	table = calloc(1, sizeof(*table));
	return table == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	free(table);
	return 0;
}

static union addr
address(const char *text)
{
	socklen_t len;
	union addr a;

	assert_int_equal(addr_parse(text, 1, &a, &len), 0);
	return a;
}

static bool
charge(const char *text, enum penalty why, uint64_t now)
{
	const union addr a = address(text);

	return penalties_charge(table, &a, why, LONGEST, now);
}

/* Microseconds. */
static uint64_t
refused(const char *text, uint64_t now)
{
	const union addr a = address(text);
	const struct penalty_record *r = penalties_find(table, &a);

	return r != NULL ? penalties_refused(r, LONGEST, now) : 0;
}

static size_t
lift(const char *text)
{
	struct subnet net;

	assert_int_equal(subnet_parse(text, &net), 0);
	return penalties_lift(table, &net, NOW);
}

static void
they_add_up_and_run_out(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_false(charge("192.0.2.1", PENALTY_LOGIN, NOW));
	assert_true(refused("192.0.2.1", NOW) == 0);
	assert_true(charge("192.0.2.1", PENALTY_LOGIN, NOW)); /* from now on */
	assert_false(charge("192.0.2.1", PENALTY_LOGIN, NOW));
	assert_true(refused("192.0.2.1", NOW) == 10 * USEC_PER_SEC);
	assert_true(refused("192.0.2.1", NOW + 9 * USEC_PER_SEC) == 1 * USEC_PER_SEC);
	assert_true(refused("192.0.2.1", NOW + 10 * USEC_PER_SEC) == 0);
	/* what is left still counts, what has run out does not */
	assert_true(charge("192.0.2.1", PENALTY_LOGIN, NOW + 11 * USEC_PER_SEC));
	assert_false(charge("192.0.2.1", PENALTY_LOGIN, NOW + 60 * USEC_PER_SEC));
}

static void
slow_mistakes_are_forgiven(void **state)
{
	(void)state;
	for (uint64_t t = 0; t < 1000; t += 5)
		assert_false(charge("192.0.2.1", PENALTY_LOGIN, NOW + t * USEC_PER_SEC));
	for (uint64_t t = 0; t < 1000; t++)
		assert_false(charge("192.0.2.2", PENALTY_LEFT, NOW + t * 200 * USEC_PER_MSEC));
}

static void
a_crash_is_enough(void **state)
{
	(void)state;
	assert_true(charge("192.0.2.1", PENALTY_CRASH, NOW));
	assert_true(refused("192.0.2.1", NOW) == 75 * USEC_PER_SEC);
}

static void
no_longer_than_the_longest(void **state)
{
	const union addr a = address("192.0.2.1");

	(void)state;
	for (int i = 0; i < 1000; i++)
		(void)charge("192.0.2.1", PENALTY_CRASH, NOW);
	assert_true(refused("192.0.2.1", NOW) == LONGEST - PENALTIES_TOLERATED);
	assert_true(refused("192.0.2.1", NOW + LONGEST) == 0);
	/* a longest that is short leaves something to tolerate */
	for (int i = 0; i < 10; i++)
		(void)penalties_charge(table, &a, PENALTY_CRASH, 4 * USEC_PER_SEC, NOW);
	assert_true(penalties_refused(penalties_find(table, &a), 4 * USEC_PER_SEC, NOW) ==
		    2 * USEC_PER_SEC);
}

static void
none_where_none_are_wanted(void **state)
{
	const union addr a = address("192.0.2.1");

	(void)state;
	assert_false(penalties_charge(table, &a, PENALTY_CRASH, 0, NOW));
	assert_null(penalties_find(table, &a));
	assert_true(charge("192.0.2.1", PENALTY_CRASH, NOW));
	assert_true(penalties_refused(penalties_find(table, &a), 0, NOW) == 0);
}

static void
what_counts_as_one_source(void **state)
{
	(void)state;
	assert_true(charge("2001:db8::1", PENALTY_CRASH, NOW));
	assert_true(refused("2001:db8::ffff:1", NOW) > 0);
	assert_true(refused("2001:db8:0:1::1", NOW) == 0);
	assert_true(charge("192.0.2.1", PENALTY_CRASH, NOW));
	assert_true(refused("::ffff:192.0.2.1", NOW) > 0);
	assert_true(refused("192.0.2.2", NOW) == 0);
}

static void
they_are_lifted(void **state)
{
	(void)state;
	assert_true(charge("2001:db8::1", PENALTY_CRASH, NOW));
	assert_true(charge("192.0.2.1", PENALTY_CRASH, NOW));
	assert_true(charge("192.0.2.2", PENALTY_CRASH, NOW));
	assert_int_equal(lift("2001:db8:1::1"), 0);
	assert_int_equal(lift("2001:db8::77"), 1); /* its /64 */
	assert_int_equal(lift("192.0.2.2"), 1);
	assert_int_equal(lift("192.0.2.2"), 0);
	assert_true(refused("192.0.2.1", NOW) > 0);
	assert_int_equal(lift("192.0.2.0/24"), 1);
	assert_true(refused("2001:db8::1", NOW) + refused("192.0.2.1", NOW) == 0);
}

/* Who has done much is remembered while a million others do little. */
static void
a_million_sources_need_no_more_room(void **state)
{
	union addr a = { .in6 = { .sin6_family = AF_INET6 } };
	uint64_t known = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		(void)charge("192.0.2.1", PENALTY_CRASH, NOW);
	for (uint32_t i = 0; i < 1000000; i++) {
		memcpy(&a.in6.sin6_addr, &(uint32_t[]){ htonl(0x20010db8), i }, 8);
		assert_false(penalties_charge(table, &a, PENALTY_LOGIN, LONGEST, NOW + i));
	}
	for (size_t i = 0; i < sizeof(table->list) / sizeof(table->list[0]); i++)
		known += table->list[i].until_usec > NOW;
	assert_int_equal(known, PENALTIES_SETS * PENALTIES_WAYS); /* all of it is used */
	assert_true(refused("192.0.2.1", NOW) > 0);
	assert_int_equal(lift("0.0.0.0/0"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(they_add_up_and_run_out),
		T(slow_mistakes_are_forgiven),
		T(a_crash_is_enough),
		T(no_longer_than_the_longest),
		T(none_where_none_are_wanted),
		T(what_counts_as_one_source),
		T(they_are_lifted),
		T(a_million_sources_need_no_more_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
