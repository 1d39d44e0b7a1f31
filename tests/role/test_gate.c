/* A gate against a fake supervisor: what it takes, what it leaves, what it asks, in every order. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "tests/role/gate_talk.h"
#include "tests/unit/unit.h"

static void
a_request_is_left_for_the_session(void **state)
{
	static const char sent[] = "\x0e\0\0\0{\"opt\":\"list\"}and a body";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start(&p);
	send_bytes(&p, sent, sizeof(sent) - 1);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(q.type, GATE_ANONYMOUS);
	assert_int_equal(q.said_hello, 0);
	say_verdict(&p, "");
	(void)usleep(50000); /* it must not read any more */
	expect_left_over(&p, sent, sizeof(sent) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
hello_and_ping_are_answered_and_taken(void **state)
{
	static const char rest[] = "\x0e\0\0\0{\"opt\":\"list\"}";
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	send_frame(&p, "{\"opt\":\"hello\",\"id\":\"a\",\"body\":3}");
	send_bytes(&p, "xyz", 3);
	send_frame(&p, "{\"opt\":\"ping\",\"id\":9}");
	send_bytes(&p, rest, sizeof(rest) - 1);
	o = get_frame(&p);
	assert_string_equal(json_string_value(json_object_get(o, "id")), "a");
	assert_string_equal(json_string_value(json_object_get(o, "session")), "s412");
	json_decref(o);
	o = get_frame(&p);
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 9);
	json_decref(o);
	assert_int_equal(asked(&p, &q), 0);
	assert_int_equal(q.said_hello, 1);
	say_verdict(&p, "");
	(void)usleep(50000);
	expect_left_over(&p, rest, sizeof(rest) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
many_pings_ahead_are_the_sessions_work(void **state)
{
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	for (int i = 0; i < 1000; i++)
		send_frame(&p, "{\"opt\":\"ping\"}");
	for (int i = 0; i < 16; i++) {
		o = get_frame(&p);
		assert_string_equal(json_string_value(json_object_get(o, "status")), "ok");
		json_decref(o);
	}
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	assert_int_equal(gate_end(&p), 0);
}

static void
a_bare_header_is_left_for_the_session(void **state)
{
	static const char sent[] = "{\"opt\":\"upload\"";
	struct packet_gate q;
	struct peer p;

	(void)state;
	gate_start(&p);
	send_bytes(&p, sent, sizeof(sent) - 1);
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	(void)usleep(50000);
	expect_left_over(&p, sent, sizeof(sent) - 1);
	assert_int_equal(gate_end(&p), 0);
}

static void
a_no_is_passed_on(void **state)
{
	struct packet_gate q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p);
	send_frame(&p, "{\"opt\":\"list\",\"id\":7}");
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "limit_sessions");
	o = get_frame(&p);
	assert_string_equal(json_string_value(json_object_get(o, "code")), "limit_sessions");
	assert_string_equal(json_string_value(json_object_get(o, "message")), "because");
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(o, "retry_after_ms")), 1500);
	assert_int_equal(json_integer_value(json_object_get(o, "limit")), 5);
	assert_null(json_object_get(o, "current"));
	assert_true(json_is_true(json_object_get(o, "close")));
	json_decref(o);
	assert_int_equal(gate_end(&p), 0);
}

static void
what_is_no_frame_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *code;
		int class;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n", 16, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\0\0\0\0", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\xff\xff\xff\xff", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\x01\0\x01\0", 4, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\r\n\r\n\0\r\nQUIT\n", 12, "bad_frame", ROLE_EXIT_CLIENT },
		{ "\x02\0\0\0{x", 6, "bad_request", ROLE_EXIT_CLIENT },
		{ "\x03\0\0\0[1]", 7, "bad_request", ROLE_EXIT_CLIENT },
		{ "\x21\0\0\0{\"opt\":\"hello\",\"opt\":\"hello\"   }", 37, "bad_request",
		  ROLE_EXIT_CLIENT },
		{ "\x1f\0\0\0{\"opt\":\"hello\",\"body\":-999999 }", 35, "bad_request",
		  ROLE_EXIT_CLIENT },
		{ "\x1f\0\0\0{\"opt\":\"hello\",\"version\":[77] }", 35, "version", ROLE_EXIT_OK },
	};
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gate_start(&p);
		send_bytes(&p, cases[i].bytes, cases[i].n);
		expect_refusal(&p, cases[i].code);
		assert_int_equal(gate_end(&p), cases[i].class);
	}
}

static void
every_truncation_ends_quietly(void **state)
{
	static const char sent[] = "\x0f\0\0\0{\"opt\":\"hello\"}";
	struct packet_gate q;
	struct peer p;

	(void)state;
	for (size_t n = 0; n < sizeof(sent) - 1; n++) {
		gate_start(&p);
		send_bytes(&p, sent, n);
		assert_int_equal(shutdown(p.client, SHUT_WR), 0);
		assert_int_equal(asked(&p, &q), -1);
		assert_int_equal(gate_end(&p), 0);
	}
}

static void
one_byte_at_a_time_is_ended_by_the_deadline(void **state)
{
	static const char sent[] = "\x0e\0\0\0{\"opt\":\"list\"}";
	uint64_t began = clock_usec();
	struct peer p;

	(void)state;
	gate_start(&p);
	for (size_t i = 0; i < 10; i++) {
		send_bytes(&p, sent + i, 1);
		(void)usleep(100000);
	}
	expect_refusal(&p, "timeout");
	assert_true(clock_usec() - began < 2 * LOGIN_MS * USEC_PER_MSEC);
	assert_int_equal(gate_end(&p), ROLE_EXIT_LATE);
}

static void
the_largest_header_fits(void **state)
{
	static char header[FRAME_HEADER_MAX + 1];
	struct packet_gate q;
	struct peer p;

	(void)state;
	memset(header, ' ', FRAME_HEADER_MAX);
	memcpy(header, "{\"opt\":\"list\"}", 14);
	gate_start(&p);
	send_frame(&p, header);
	assert_int_equal(asked(&p, &q), 0);
	say_verdict(&p, "");
	assert_int_equal(gate_end(&p), 0);
}

static void
without_a_supervisor_it_ends(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p);
	close_fd(&p.privilege);
	assert_int_equal(gate_end(&p), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_left_for_the_session),
		cmocka_unit_test(hello_and_ping_are_answered_and_taken),
		cmocka_unit_test(many_pings_ahead_are_the_sessions_work),
		cmocka_unit_test(a_bare_header_is_left_for_the_session),
		cmocka_unit_test(a_no_is_passed_on),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(every_truncation_ends_quietly),
		cmocka_unit_test(one_byte_at_a_time_is_ended_by_the_deadline),
		cmocka_unit_test(the_largest_header_fits),
		cmocka_unit_test(without_a_supervisor_it_ends),
	};

	/* behind the sandbox, as the daemon runs it */
	if (sandbox_compile(SANDBOX_GATEHOUSE) < 0 || sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
