#include "ctl/call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static struct wire wire;
static int daemon_fd = -1;

static int
set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	daemon_fd = pair[1];
	return wire_init(&wire, pair[0], USEC_PER_SEC);
}

static int
tear_down(void **state)
{
	(void)state;
	wire_done(&wire);
	close_fd(&daemon_fd);
	return 0;
}

static void
say(const char *header)
{
	uint8_t prefix[FRAME_PREFIX];

	frame_prefix(prefix, strlen(header));
	assert_int_equal(io_write_full(daemon_fd, prefix, sizeof(prefix)), 0);
	assert_int_equal(io_write_full(daemon_fd, header, strlen(header)), 0);
}

static int
ask(uint64_t timeout_usec, json_t **ret)
{
	auto_json json_t *request = json_pack("{s:s}", "opt", "list-sessions");

	return call_ask(&wire, request, timeout_usec, ret);
}

static void
test_frames_become_one(void **state)
{
	auto_json json_t *answer = NULL;
	auto_json json_t *expected =
	    json_pack("{s:s, s:[i, i, i], s:[], s:s, s:i}", "status", "ok", "rows", 1, 2, 3, "none",
		      "text", "one\ntwo\n", "n", 2);

	(void)state;
	say("{\"status\":\"ok\",\"rows\":[1,2],\"none\":[],\"text\":\"one\\n\",\"n\":1,\"more\":"
	    "true}");
	say("{\"status\":\"ok\",\"rows\":[3],\"text\":\"two\\n\",\"n\":2}");
	assert_int_equal(ask(USEC_PER_SEC, &answer), 0);
	assert_true(json_equal(answer, expected));
}

/* A refusal in the last frame counts; what came before it is kept. */
static void
test_refusal_behind_rows(void **state)
{
	auto_json json_t *answer = NULL;

	(void)state;
	say("{\"status\":\"ok\",\"problems\":[1],\"more\":true}");
	say("{\"status\":\"error\",\"code\":\"bad_request\",\"problems\":[2]}");
	assert_int_equal(ask(USEC_PER_SEC, &answer), 0);
	assert_string_equal(json_string_value(json_object_get(answer, "status")), "error");
	assert_int_equal(json_array_size(json_object_get(answer, "problems")), 2);
}

/* The time limit is that of the whole answer: one that goes on and on does not last longer. */
static void
test_time_is_up(void **state)
{
	json_t *answer = NULL;
	uint64_t begin = clock_usec();

	(void)state;
	for (int i = 0; i < 3; i++)
		say("{\"status\":\"ok\",\"rows\":[1],\"more\":true}");
	assert_int_equal(ask(100 * USEC_PER_MSEC, &answer), -ETIMEDOUT);
	assert_null(answer);
	assert_true(clock_usec() - begin < 2 * USEC_PER_SEC);
}

static void
test_daemon_ends(void **state)
{
	json_t *answer = NULL;

	(void)state;
	say("{\"status\":\"ok\",\"rows\":[1],\"more\":true}");
	assert_return_code(shutdown(daemon_fd, SHUT_WR), errno);
	assert_int_equal(ask(USEC_PER_SEC, &answer), -ENODATA);
	assert_null(answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_become_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusal_behind_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_is_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_daemon_ends, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
