/* Who makes room when the pool of gates is full. */
#include "daemon/supervisor/gates.h"

#include <stdlib.h>

#include "daemon/supervisor/admission.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

static struct admission pool;

static int
tear_down(void **state)
{
	struct connection *next;

	(void)state;
	for (struct connection *c = pool.gates.first; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	pool = (struct admission){ .pool = 0 };
	return 0;
}

/* A gate of the source that has been there for so long. */
static struct connection *
gate(struct source *s, uint64_t age_usec)
{
	struct connection *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->stage = STAGE_GATE;
	c->source = s;
	c->entered_usec = clock_usec() - age_usec;
	s->gates++;
	connections_append(&pool.gates, c);
	return c;
}

static struct connection *
gates(struct source *s, unsigned n, uint64_t age_usec)
{
	struct connection *first = gate(s, age_usec);

	while (--n > 0)
		(void)gate(s, age_usec);
	return first;
}

static void
who_holds_too_many(void **state)
{
	struct source large = { .gates = 0 }, other = { .gates = 0 }, newcomer = { .gates = 0 };
	struct connection *first;

	(void)state;
	(void)gates(&other, 3, 0);
	first = gates(&large, ADMISSION_FAIR_GATES, 0);
	assert_null(gates_unfair(&pool, &newcomer));
	(void)gate(&large, 0);
	assert_ptr_equal(gates_unfair(&pool, &newcomer), first);
	newcomer.gates = ADMISSION_FAIR_GATES - 1;
	assert_ptr_equal(gates_unfair(&pool, &newcomer), first);
	newcomer.gates++;
	assert_null(gates_unfair(&pool, &newcomer));
}

/* As when some hold a few each, and wait. */
static void
who_had_its_time(void **state)
{
	struct source slow = { .gates = 0 }, quick = { .gates = 0 }, newcomer = { .gates = 0 };
	struct connection *first;

	(void)state;
	(void)gates(&quick, 2, 0);
	first = gates(&slow, 3, ADMISSION_FAIR_TIME + USEC_PER_SEC);
	assert_ptr_equal(gates_unfair(&pool, &newcomer), first);
	newcomer.gates = 2;
	assert_null(gates_unfair(&pool, &newcomer));
	assert_null(gates_unfair(&pool, &slow)); /* nobody for its own sake */
}

static void
who_waits_for_an_answer_is_left_alone(void **state)
{
	struct source large = { .gates = 0 }, newcomer = { .gates = 0 };
	struct connection *c;

	(void)state;
	assert_null(gates_unfair(&pool, &newcomer));
	c = gates(&large, 2 * ADMISSION_FAIR_GATES, 0);
	c->asked = true;
	c->next->stage = STAGE_EVICTED;
	assert_ptr_equal(gates_unfair(&pool, &newcomer), c->next->next);
	for (; c != NULL; c = c->next)
		c->asked = true;
	assert_null(gates_unfair(&pool, &newcomer));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(who_holds_too_many, tear_down),
		cmocka_unit_test_teardown(who_had_its_time, tear_down),
		cmocka_unit_test_teardown(who_waits_for_an_answer_is_left_alone, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
