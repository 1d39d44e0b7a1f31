/* Refusals in the middle of content, and the ways a session ends. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

static void
put_refused(struct host *h, size_t size)
{
	put(h, json_pack("{s:s, s:s, s:I}", "opt", "upload", "filename", "/missing/x", "filesize",
			 (json_int_t)size));
}

/* Whether the server says something within ms. */
static bool
says_something(const struct host *h, int ms)
{
	struct pollfd p = { .fd = h->wire.fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* An upload of 8 bytes, "halfhalf", of which the session has taken half, and says nothing. */
static void
put_half(struct host *h, const char *name)
{
	uint64_t deadline = clock_usec() + 10 * USEC_PER_SEC;

	put(h, json_pack("{s:s, s:s, s:i}", "opt", "upload", "filename", name, "filesize", 8));
	assert_int_equal(wire_put_body(&h->wire, "half", 4), 0);
	assert_int_equal(wire_flush(&h->wire), 0);
	while (h->report->offset != 4 && clock_usec() < deadline) /* it begins as garbage */
		(void)usleep(1000);
	assert_int_equal(h->report->offset, 4);
	assert_false(says_something(h, 0));
}

/* ---- refused bodies */

static void
refused_at_once_with_hello(void **state)
{
	auto_free uint8_t *body = random_bytes(3 << 20);
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put_refused(&h, 3 << 20);
	expect_code(&h, "not_found"); /* before the first byte of the body */
	assert_int_equal(wire_put_body(&h.wire, body, 3 << 20), 0);
	expect_ping(&h);
	host_end(&h);
}

static void
refused_after_the_last_byte_without_hello(void **state)
{
	auto_free uint8_t *body = random_bytes(3 << 20);
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put_refused(&h, 3 << 20);
	assert_int_equal(wire_put_body(&h.wire, body, (3 << 20) - 1), 0);
	assert_int_equal(wire_flush(&h.wire), 0);
	assert_false(says_something(&h, 200));
	assert_int_equal(wire_put_body(&h.wire, body, 1), 0);
	expect_code(&h, "not_found");
	expect_ping(&h);
	host_end(&h);
}

/* Beyond 64 MiB the server closes, its sending side first: the reason arrives. */
static void
refused_and_too_long(void **state)
{
	auto_free uint8_t *body = random_bytes(1 << 20);
	struct host h;
	int r = 0;

	(void)state;
	for (unsigned flags = 0; flags <= HOST_HELLO; flags += HOST_HELLO) {
		host_start(&h, flags, "", "");
		put_refused(&h, 200 << 20);
		r = wire_flush(&h.wire);
		for (int i = 0; i < 200 && r == 0; i++) {
			r = wire_put_body(&h.wire, body, 1 << 20);
			if (r == 0)
				r = wire_flush(&h.wire);
		}
		assert_true(r < 0);
		/* what could not be sent does not keep what was said from being read */
		buf_consume(&h.wire.out, buf_len(&h.wire.out));
		auto_json json_t *answer = get(&h);

		assert_text(answer, "code", "not_found");
		assert_true(json_is_true(json_object_get(answer, "close")));
		assert_int_equal(host_wait(&h), 0);
		host_end(&h);
	}
}

static void
refused_pieces_end_with_the_trailer(void **state)
{
	auto_free uint8_t *body = random_bytes(1 << 20);
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put(&h, json_pack("{s:s, s:s, s:b}", "opt", "upload", "filename", "/missing/x", "more", 1));
	expect_code(&h, "not_found");
	for (int i = 0; i < 3; i++) {
		put(&h, json_pack("{s:b, s:i}", "more", 1, "body", 1 << 20));
		assert_int_equal(wire_put_body(&h.wire, body, 1 << 20), 0);
	}
	put(&h, json_pack("{s:s, s:s}", "status", "error", "code", "cancelled"));
	expect_ping(&h);
	host_end(&h);
}

/* ---- orders */

static void
kicked_while_idle_and_in_a_transfer(void **state)
{
	struct host h;

	(void)state;
	for (int busy = 0; busy <= 1; busy++) {
		host_start(&h, HOST_HELLO, "", "");
		if (busy) {
			put(&h, json_pack("{s:s, s:s, s:i}", "opt", "upload", "filename", "/k",
					  "filesize", 100));
			assert_int_equal(wire_put_body(&h.wire, "part", 4), 0);
			assert_int_equal(wire_flush(&h.wire), 0);
		} else {
			expect_ping(&h);
		}
		assert_false(says_something(&h, 100));
		host_quit(&h, BOARD_QUIT_KICKED, "out you go");
		auto_json json_t *last = get(&h);

		assert_text(last, "code", "cancelled");
		assert_text(last, "message", "out you go");
		assert_true(json_is_true(json_object_get(last, "close")));
		expect_end(&h);
		host_end(&h);
	}
	assert_missing("k");
	assert_no_orphan();
}

/* A server that goes down lets the transfer under way finish. */
static void
drained_in_a_transfer(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put_half(&h, "/d");
	h.orders->retry_after_ms = 700;
	host_quit(&h, BOARD_QUIT_DRAINING, "until later");
	assert_false(says_something(&h, 300));
	assert_int_equal(wire_put_body(&h.wire, "half", 4), 0);
	expect_status(&h, "ok");
	auto_json json_t *last = get(&h);

	assert_text(last, "code", "draining");
	assert_text(last, "message", "until later");
	assert_int_equal(json_integer_value(json_object_get(last, "retry_after_ms")), 700);
	expect_end(&h);
	assert_content("d", "halfhalf", 8);
	host_end(&h);
}

/* The administrator ends one transfer: the session goes on. */
static void
one_transfer_cancelled(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put_half(&h, "/c");
	host_cancel(&h, h.report->transfer);
	expect_code(&h, "cancelled");
	assert_int_equal(wire_put_body(&h.wire, "half", 4), 0);
	expect_ping(&h);
	put_upload(&h, "/c2", "x", 1);
	expect_status(&h, "ok");
	host_end(&h);
	assert_missing("c");
}

/* Half a header is nothing that is served. */
static void
drained_in_a_header(void **state)
{
	struct host h;

	(void)state;
	for (size_t n = 1; n < 12; n += 5) {
		host_start(&h, HOST_HELLO, "", "");
		assert_int_equal(wire_put_body(&h.wire, "\x40\0\0\0{\"opt\":", n), 0);
		assert_int_equal(wire_flush(&h.wire), 0);
		assert_false(says_something(&h, 100));
		host_quit(&h, BOARD_QUIT_DRAINING, "down");
		expect_code(&h, "draining");
		expect_end(&h);
		host_end(&h);
	}
}

static void
without_a_supervisor(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put_half(&h, "/s");
	close_fd(&h.privilege);
	assert_false(says_something(&h, 100));
	assert_int_equal(wire_put_body(&h.wire, "half", 4), 0);
	expect_status(&h, "ok");
	auto_json json_t *last = get(&h);

	assert_text(last, "code", "busy");
	assert_true(json_is_true(json_object_get(last, "close")));
	assert_true(json_integer_value(json_object_get(last, "retry_after_ms")) > 0);
	expect_end(&h);
	assert_content("s", "halfhalf", 8);
	/* what nobody has heard stands on the page */
	assert_int_equal(h.report->records, 1);
	assert_string_equal(h.report->last.result, "ok");
	assert_int_equal(h.report->last.bytes, 8);
	assert_memory_equal(h.report->last.path, "s", h.report->last.path_len);
	host_end(&h);
}

/* Another supervisor sees by its page that it lives, though nothing comes. */
static void
without_a_supervisor_it_shows_that_it_lives(void **state)
{
	struct host h;
	uint64_t beat;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "upload", "filename", "/s", "filesize", 8));
	assert_int_equal(wire_flush(&h.wire), 0);
	assert_false(says_something(&h, 100));
	close_fd(&h.privilege);
	assert_false(says_something(&h, 500));
	beat = h.report->heartbeat_usec;
	assert_false(says_something(&h, 2500));
	assert_true(h.report->heartbeat_usec > beat);
	host_end(&h);
}

/* Its birth was never told: no other supervisor could find it. */
static void
unknown_to_its_supervisor(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	h.orders->process.pid = 0;
	put_half(&h, "/s");
	close_fd(&h.privilege);
	expect_code(&h, "cancelled");
	assert_int_equal(host_wait(&h), 0);
	assert_missing("s");
	assert_no_orphan();
	host_end(&h);
}

/* ---- time */

static void
stalled_in_a_body(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "limits = { stall_timeout = \"1s\"; };");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "upload", "filename", "/t", "filesize", 8));
	for (int i = 0; i < 4; i++) { /* slow is not stalled */
		assert_int_equal(wire_put_body(&h.wire, "x", 1), 0);
		assert_int_equal(wire_flush(&h.wire), 0);
		assert_false(says_something(&h, 500));
	}
	auto_json json_t *last = get(&h);

	assert_text(last, "code", "timeout");
	assert_true(json_is_true(json_object_get(last, "close")));
	expect_end(&h);
	assert_missing("t");
	assert_no_orphan();
	host_end(&h);
}

static void
idle_is_not_stalled(void **state)
{
	struct host h;
	uint64_t beat;

	(void)state;
	host_start(&h, HOST_HELLO, "", "limits = { stall_timeout = \"1s\"; };");
	expect_ping(&h);
	assert_false(says_something(&h, 2500));
	/* nothing wakes by itself: the page stands still until the supervisor pokes */
	beat = h.report->heartbeat_usec;
	assert_int_equal(h.report->state, BOARD_IDLE);
	assert_false(says_something(&h, 300));
	assert_true(h.report->heartbeat_usec == beat);
	host_quit(&h, BOARD_STAY, "");
	assert_false(says_something(&h, 300));
	assert_true(h.report->heartbeat_usec > beat);
	put_upload(&h, "/again", "x", 1); /* its buffers have been given back */
	expect_status(&h, "ok");
	host_quit(&h, BOARD_QUIT_IDLE, "idle for too long");
	expect_code(&h, "timeout");
	expect_end(&h);
	host_end(&h);
}

/* An answer that nobody takes any more does not keep what follows from being stored. */
static void
a_reset_does_not_end_the_reading(void **state)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct host h;
	int status;

	(void)state;
	host_start(&h, 0, "", "");
	for (int i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/r%d", i);
		put_upload(&h, name, "x", 1);
	}
	assert_int_equal(wire_flush(&h.wire), 0);
	assert_int_equal(shutdown(h.wire.fd, SHUT_WR), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = h.wire.fd, .events = POLLIN }, 1, 5000), 1);
	assert_int_equal(setsockopt(h.wire.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	wire_done(&h.wire);
	status = host_wait(&h);
	assert_int_equal(status, 0);
	assert_content("r199", "x", 1);
	host_end(&h);
}

/* Behind the real sandbox: the helper thread says that work goes on. */
static void
signs_of_life_behind_the_sandbox(void **state)
{
	struct host h;
	int waiting = 0;

	(void)state;
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	put(&h, json_pack("{s:s, s:s, s:b, s:s, s:i}", "opt", "upload", "filename", "/life", "more",
			  1, "digest", "sha256", "id", 5));
	/* zeros to hash for longer than a beat, however fast the machine */
	put(&h, json_pack("{s:b, s:I}", "more", 1, "hole", (json_int_t)1 << 43));
	for (;;) {
		auto_json json_t *frame = get_any(&h);

		assert_text(frame, "status", "working");
		assert_text(frame, "phase", "verifying");
		assert_int_equal(json_integer_value(json_object_get(frame, "id")), 5);
		if (++waiting == 2)
			break;
	}
	host_cancel(&h, h.report->transfer);
	expect_code(&h, "cancelled");
	put(&h, json_object());
	put_upload(&h, "/after", "x", 1);
	put(&h, json_pack("{s:s, s:s, s:i, s:b}", "opt", "upload", "filename", "/a/b/c", "filesize",
			  0, "parents", 1));
	put(&h, json_pack("{s:s}", "opt", "commit"));
	put(&h, json_pack("{s:s}", "opt", "space"));
	put(&h, json_pack("{s:s, s:[i]}", "opt", "hello", "version", 1));
	put(&h, json_pack("{s:s, s:[i]}", "opt", "hello", "version", 2));
	for (int i = 0; i < 5; i++)
		expect_status(&h, "ok");
	expect_code(&h, "version");
	expect_end(&h);
	assert_missing("life");
	assert_content("after", "x", 1);
	host_end(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refused_at_once_with_hello),
		TEST(refused_after_the_last_byte_without_hello),
		TEST(refused_and_too_long),
		TEST(refused_pieces_end_with_the_trailer),
		TEST(kicked_while_idle_and_in_a_transfer),
		TEST(drained_in_a_transfer),
		TEST(one_transfer_cancelled),
		TEST(drained_in_a_header),
		TEST(without_a_supervisor),
		TEST(without_a_supervisor_it_shows_that_it_lives),
		TEST(unknown_to_its_supervisor),
		TEST(stalled_in_a_body),
		TEST(idle_is_not_stalled),
		TEST(a_reset_does_not_end_the_reading),
		TEST(signs_of_life_behind_the_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
