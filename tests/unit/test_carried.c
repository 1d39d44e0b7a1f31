/* What one binary hands to the next: it is read as it was written, and nothing else is. */
#include "daemon/supervisor/carried.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/common/board.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static struct carried *
some(void)
{
	struct carried *c = calloc(1, sizeof(*c));
	struct subnet net;

	assert_non_null(c);
	c->sockets = (struct carried_sockets){ .control = 5,
					       .udp = -1,
					       .pid_file = 6,
					       .log_ours = 7,
					       .log_roles = 8,
					       .asker = -1,
					       .handed = true };
	c->listen[c->n_listen++] = 9;
	c->generation = 3;
	c->next_id = 412;
	c->started_real_ns = -7;
	c->totals.bytes_in = 1234;
	c->sizes.bucket[2] = 5;
	c->sizes.count = 5;
	c->sessions = calloc(2, sizeof(*c->sessions));
	c->rates = calloc(1, sizeof(*c->rates));
	assert_non_null(c->sessions);
	assert_non_null(c->rates);
	for (c->n_sessions = 0; c->n_sessions < 2; c->n_sessions++)
		c->sessions[c->n_sessions] =
		    (struct carried_session){ .number = 100 + c->n_sessions,
					      .privilege = 20 + (int)c->n_sessions };
	c->n_rates = 1;
	(void)snprintf(c->rates[0].user, sizeof(c->rates[0].user), "alice");
	c->rates[0].limit = 1 << 20;
	assert_int_equal(subnet_parse("192.0.2.0/24", &net), 0);
	assert_int_equal(bans_add(&c->bans, &net, 1, UINT64_MAX), 0);
	assert_int_equal(subnet_parse("2001:db8::/64", &net), 0);
	penalties_restore(&c->penalties, &net, 77, 99);
	return c;
}

static void
read_as_it_was_written(void **state)
{
	struct carried *c = some(), *again = NULL;
	auto_free char *text = NULL;
	const char *why;
	union addr a;
	socklen_t len;
	size_t n;

	(void)state;
	assert_int_equal(carried_write(c, &text, &n), 0);
	assert_int_equal(carried_read(text, n, &again, &why), 0);
	assert_memory_equal(&again->sockets, &c->sockets, sizeof(c->sockets));
	assert_memory_equal(again->listen, c->listen, sizeof(c->listen));
	assert_memory_equal(&again->totals, &c->totals, sizeof(c->totals));
	assert_memory_equal(&again->sizes, &c->sizes, sizeof(c->sizes));
	assert_memory_equal(&again->bans, &c->bans, sizeof(c->bans));
	assert_int_equal(again->generation, 3);
	assert_int_equal(again->next_id, 412);
	assert_true(again->started_real_ns == -7);
	assert_int_equal(carried_privilege(again, 101), 21);
	assert_int_equal(carried_privilege(again, 102), -1);
	assert_int_equal(again->n_rates, 1);
	assert_string_equal(again->rates[0].user, "alice");
	assert_int_equal(addr_parse("2001:db8::5", 1, &a, &len), 0);
	assert_non_null(penalties_find(&again->penalties, &a));
	assert_int_equal(penalties_find(&again->penalties, &a)->until_usec, 99);
	carried_free(c);
	carried_free(again);
}

/* Cut anywhere, or with one word of it another. */
static void
nothing_else_is_read(void **state)
{
	static const char *const others[][2] = {
		{ "\"version\":1", "\"version\":2" },       { "\"listen\":[9]", "\"listen\":[-1]" },
		{ "\"listen\":[9]", "\"listen\":[9.5]" },   { "\"control\":5", "\"control\":-1" },
		{ "\"asker\":-1", "\"asker\":-2" },         { "\"number\":100", "\"number\":0" },
		{ "\"privilege\":20", "\"privilege\":{}" }, { "192.0.2.0/24", "192.0.2.0/33" },
		{ "\"sizes\":[0", "\"sizes\":[-1" },
	};
	struct carried *c = some(), *again = NULL;
	auto_free char *text = NULL;
	char other[8192];
	const char *why, *at;
	size_t n;

	(void)state;
	assert_int_equal(carried_write(c, &text, &n), 0);
	assert_true(n < sizeof(other) - 16);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(carried_read(text, i, &again, &why), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		at = strstr(text, others[i][0]);
		assert_non_null(at);
		(void)snprintf(other, sizeof(other), "%.*s%s%s", (int)(at - text), text,
			       others[i][1], at + strlen(others[i][0]));
		assert_int_equal(carried_read(other, strlen(other), &again, &why), -EBADMSG);
		assert_non_null(why);
	}
	carried_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_as_it_was_written),
		cmocka_unit_test(nothing_else_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
