/* Dividing the total rate: sessions with token buckets, simulated for 10 s in steps of 5 ms. */
#include "daemon/supervisor/division.h"

#include <string.h>

#include "daemon/session/bucket.h"
#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

#define LIMIT (UINT64_C(80) << 20)
#define GREEDY UINT64_MAX
#define STEP (5 * USEC_PER_MSEC)
#define DIVIDE (250 * USEC_PER_MSEC)
#define LENGTH (10 * USEC_PER_SEC)

enum { MOST = 64 };

/* Bytes a second that session i would move at that time. */
typedef uint64_t (*demand_fn)(size_t i, uint64_t usec);

struct world {
	size_t n;
	demand_fn demand;
	uint64_t total;
	struct division division;
	struct division_row rows[MOST];
	struct bucket buckets[MOST];
	uint64_t moved; /* by all, so far */
};

static void
world_begin(struct world *w, size_t n, demand_fn demand)
{
	memset(w, 0, sizeof(*w));
	w->n = n;
	w->demand = demand;
	w->total = LIMIT;
	for (size_t i = 0; i < n; i++)
		w->rows[i].share = division_entry(LIMIT, n);
}

static void
move(struct world *w, size_t i, uint64_t now)
{
	uint64_t most = w->demand(i, now), wait;
	size_t want = most == GREEDY ? SIZE_MAX : (size_t)(most * STEP / USEC_PER_SEC), n;

	if (want == 0)
		return;
	n = bucket_look(&w->buckets[i], w->rows[i].share, now + STEP, want, &wait);
	bucket_spend(&w->buckets[i], n);
	w->rows[i].used += n;
	w->moved += n;
}

/* From one time to another; returns what was moved in percent of the limit. */
static double
world_run(struct world *w, uint64_t from, uint64_t to)
{
	uint64_t before = w->moved;

	for (uint64_t now = from; now < to; now += STEP) {
		for (size_t i = 0; i < w->n; i++)
			move(w, i, now);
		if ((now + STEP) % DIVIDE != 0)
			continue;
		division_divide(&w->division, w->total, DIVIDE, w->rows, w->n);
		for (size_t i = 0; i < w->n; i++)
			w->rows[i].used = 0;
	}
	return (double)(w->moved - before) * 100 / ((double)w->total * (double)(to - from) / 1e6);
}

static void
assert_right(const char *what, double percent)
{
	if (percent < 97 || percent > 103)
		fail_msg("%s: %.1f %% of the limit", what, percent);
	print_message("%s: %.1f %%\n", what, percent);
}

static uint64_t
all_greedy(size_t i, uint64_t usec)
{
	(void)i;
	(void)usec;
	return GREEDY;
}

static uint64_t
four_greedy(size_t i, uint64_t usec)
{
	(void)usec;
	return i < 4 ? GREEDY : 0;
}

static uint64_t
two_greedy(size_t i, uint64_t usec)
{
	(void)usec;
	return i < 2 ? GREEDY : 1 << 20;
}

/* By turns, half a second each. */
static uint64_t
on_and_off(size_t i, uint64_t usec)
{
	return (usec / (USEC_PER_SEC / 2) + i) % 2 == 0 ? GREEDY : 0;
}

static uint64_t
waking(size_t i, uint64_t usec)
{
	return i < 4 || usec > 5 * USEC_PER_SEC ? GREEDY : 0;
}

static void
the_sum_is_the_limit(void **state)
{
	static const struct {
		const char *what;
		size_t n;
		demand_fn demand;
	} rows[] = {
		{ "8 greedy", 8, all_greedy },          { "4 greedy, 60 idle", 64, four_greedy },
		{ "2 greedy, 6 at 1M", 8, two_greedy }, { "8 on and off", 8, on_and_off },
		{ "60 waking after 5 s", 64, waking },  { "one alone", 1, all_greedy },
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_begin(&w, rows[i].n, rows[i].demand);
		assert_right(rows[i].what, world_run(&w, 0, LENGTH));
	}
}

static void
a_new_limit_holds_at_once(void **state)
{
	struct world w;
	double percent;

	(void)state;
	world_begin(&w, 8, all_greedy);
	(void)world_run(&w, 0, LENGTH);
	w.total = LIMIT / 8;
	(void)world_run(&w, LENGTH, LENGTH + DIVIDE); /* it is seen at the next division */
	percent = world_run(&w, LENGTH + DIVIDE, 2 * LENGTH + DIVIDE);
	assert_right("an eighth", percent);
	w.total = LIMIT;
	(void)world_run(&w, 2 * LENGTH + DIVIDE, 2 * LENGTH + 2 * DIVIDE);
	percent = world_run(&w, 2 * LENGTH + 2 * DIVIDE, 3 * LENGTH + 2 * DIVIDE);
	assert_right("all again", percent);
}

/* Who wants little gets it, and the greedy ones get the same. */
static void
the_parts_are_fair(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, 8, two_greedy);
	(void)world_run(&w, 0, LENGTH);
	assert_in_range(w.rows[0].share, w.rows[1].share / 100 * 95, w.rows[1].share / 100 * 105);
	assert_in_range(w.rows[0].share, LIMIT * 35 / 100, LIMIT * 50 / 100);
	for (size_t i = 2; i < 8; i++)
		assert_true(w.rows[i].share >= 1 << 20);
}

/* However small the limit and however many they are: nobody starves, nothing overflows. */
static void
at_the_edges(void **state)
{
	struct division d = { 0 };
	struct division_row rows[3] = {
		{ .used = UINT64_MAX, .share = UINT64_MAX },
		{ .used = 1, .share = 1 },
		{ .used = 0, .share = 0 },
	};

	(void)state;
	division_divide(&d, 1, 0, rows, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rows[i].share, DIVISION_LEAST);
	division_divide(&d, INT64_MAX, USEC_PER_SEC, rows, 3);
	for (size_t i = 0; i < 3; i++)
		assert_in_range(rows[i].share, DIVISION_LEAST, INT64_MAX);
	division_divide(&d, 1024, USEC_PER_SEC, NULL, 0);
	assert_int_equal(division_entry(1 << 20, 4), (1 << 20) / DIVISION_FEWEST);
	assert_int_equal(division_entry(1 << 20, 16), (1 << 20) / 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_is_the_limit),
		cmocka_unit_test(a_new_limit_holds_at_once),
		cmocka_unit_test(the_parts_are_fair),
		cmocka_unit_test(at_the_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
