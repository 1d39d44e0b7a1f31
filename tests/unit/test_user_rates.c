/* daemon/supervisor/user_rates.c: who is limited, and what the sessions of a user may move. */
#include "daemon/supervisor/user_rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/orders.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/throttle.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

enum { SLOTS = 6, RATE = 1000000 };

static struct supervisor sup;
static struct session sessions[SLOTS];
static struct session *slots[SLOTS];
static uint64_t used[SLOTS]; /* since the last division */
static unsigned ordered, poked;

/* ---- what the rest of the supervisor does */

void
throttle_order(const struct session *s)
{
	(void)s;
	ordered++;
}

void
orders_poke(const struct session *s)
{
	(void)s;
	poked++;
}

uint64_t
throttle_used(const struct session *s)
{
	return used[s - sessions];
}

uint64_t
sessions_of_user(const struct supervisor *of, const char *user)
{
	uint64_t n = 0;

	(void)of;
	for (size_t i = 0; i < SLOTS; i++)
		n += slots[i] != NULL && strcmp(slots[i]->user, user) == 0;
	return n;
}

/* ---- */

static int
begin(void **state)
{
	static const char *const users[SLOTS] = { "bob", "alice", "", "alice", "bob", "alice" };

	(void)state;
	memset(sessions, 0, sizeof(sessions));
	memset(used, 0, sizeof(used));
	ordered = poked = 0;
	sup = (struct supervisor){ .slots = slots, .boards.slots = SLOTS };
	sup.config = calloc(1, sizeof(*sup.config));
	if (sup.config == NULL)
		return -1;
	sup.config->user_rate = NUM_UNLIMITED;
	for (size_t i = 0; i < SLOTS; i++) {
		slots[i] = &sessions[i];
		sessions[i].sup = &sup;
		(void)snprintf(sessions[i].user, sizeof(sessions[i].user), "%s", users[i]);
		user_rates_begin(&sessions[i]);
	}
	return 0;
}

static int
end(void **state)
{
	(void)state;
	user_rates_done(&sup);
	free(sup.config);
	return 0;
}

/* A quarter of a second in which each has used all that it had, or a lot. */
static void
divide(void)
{
	struct session *list[SLOTS];

	memcpy((void *)list, (const void *)slots, sizeof(list));
	for (size_t i = 0; i < SLOTS; i++)
		used[i] =
		    sessions[i].user_share == NUM_UNLIMITED ? RATE : sessions[i].user_share / 4;
	user_rates_divide(&sup, list, SLOTS, USEC_PER_SEC / 4);
}

static uint64_t
sum_of(const char *user)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SLOTS; i++)
		if (strcmp(sessions[i].user, user) == 0)
			sum += sessions[i].user_share;
	return sum;
}

static void
nobody_is_limited_unasked(void **state)
{
	(void)state;
	divide();
	for (size_t i = 0; i < SLOTS; i++)
		assert_true(sessions[i].user_share == NUM_UNLIMITED);
	assert_int_equal(sup.n_user_rates, 0);
}

static void
every_user_has_the_rate(void **state)
{
	(void)state;
	sup.config->user_rate = RATE;
	for (int i = 0; i < 40; i++)
		divide();
	assert_in_range(sum_of("alice"), RATE * 95 / 100, RATE * 105 / 100);
	assert_in_range(sum_of("bob"), RATE * 95 / 100, RATE * 105 / 100);
	assert_true(sessions[2].user_share == NUM_UNLIMITED); /* nobody has logged in there */
	assert_int_equal(sup.n_user_rates, 2);
	sup.config->user_rate = NUM_UNLIMITED;
	divide();
	assert_true(sessions[0].user_share == NUM_UNLIMITED);
	assert_int_equal(sup.n_user_rates, 0);
}

static void
one_is_limited_by_name(void **state)
{
	(void)state;
	assert_int_equal(user_rates_set(&sup, "alice", RATE), 0);
	assert_int_equal(ordered, 3);
	assert_int_equal(poked, 3);
	assert_true(sum_of("alice") <= RATE);
	assert_true(sessions[0].user_share == NUM_UNLIMITED);
	for (int i = 0; i < 40; i++)
		divide();
	assert_in_range(sum_of("alice"), RATE * 95 / 100, RATE * 105 / 100);
	sup.config->user_rate = RATE / 2;
	assert_int_equal(user_rates_limit(&sup, "alice"), RATE / 2);
	assert_int_equal(user_rates_limit(&sup, "bob"), RATE / 2);
	sup.config->user_rate = 2 * RATE;
	assert_int_equal(user_rates_limit(&sup, "alice"), RATE);
	assert_true(user_rates_limit(&sup, "") == NUM_UNLIMITED);
}

/* Also when they are away; and lifted, nothing is left of it. */
static void
a_limit_by_name_lasts(void **state)
{
	(void)state;
	assert_int_equal(user_rates_set(&sup, "carol", RATE), 0);
	assert_int_equal(user_rates_set(&sup, "aaron", RATE), 0);
	divide();
	assert_int_equal(user_rates_limit(&sup, "carol"), RATE);
	assert_int_equal(sup.n_user_rates, 2);
	assert_string_equal(sup.user_rates[0].user, "aaron");
	assert_int_equal(user_rates_set(&sup, "carol", NUM_UNLIMITED), 0);
	divide();
	assert_true(user_rates_limit(&sup, "carol") == NUM_UNLIMITED);
	assert_int_equal(sup.n_user_rates, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_limited_unasked),
		TEST(every_user_has_the_rate),
		TEST(one_is_limited_by_name),
		TEST(a_limit_by_name_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
