/* One session against a client that does what the protocol allows, and what it does not. */
#include "daemon/session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

/* ---- frames */

static void
uploads_and_answers(void **state)
{
	auto_free uint8_t *body = random_bytes(3000000);
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put_upload(&h, "/small", body, 4096);
	put_upload(&h, "large", body, 3000000);
	put_upload(&h, "/empty", body, 0);
	for (int i = 0; i < 3; i++) {
		auto_json json_t *receipt = get(&h);

		assert_text(receipt, "status", "ok");
		assert_text(receipt, "durability", "full");
		assert_non_null(json_object_get(receipt, "etag"));
		assert_non_null(json_object_get(receipt, "mtime_ns"));
		assert_null(json_object_get(receipt, "filename"));
	}
	assert_content("small", body, 4096);
	assert_content("large", body, 3000000);
	assert_content("empty", body, 0);
	put(&h, json_pack("{s:s}", "opt", "quit"));
	expect_status(&h, "ok");
	expect_end(&h);
	assert_no_orphan();
	assert_int_equal(h.report->uploads, 3);
	assert_int_equal(h.report->bytes_in, 3004096);
	assert_int_equal(h.report->transfer, 0);
	host_end(&h);
}

/* Bad frames close; bad requests in good frames leave the connection in step. */
static void
broken_frames(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
		const char *code;
	} cases[] = {
		{ "\0\0\0\0", 4, "bad_frame" },
		{ "\1\0\1\0", 4, "bad_frame" },
		{ "\xff\xff\xff\xff", 4, "bad_frame" },
		{ "GET / HTTP/1.1\r\n", 16, "bad_frame" },
		{ "\1\0\0\0{", 5, "bad_request" },
		{ "\3\0\0\0[1]", 7, "bad_request" },
		{ "\x1d\0\0\0{\"opt\":\"ping\",\"opt\":\"quit\" }", 33, "bad_request" },
		{ "\x1a\0\0\0{\"opt\":\"ping\",\"body\":-1 }  ", 30, "bad_request" },
		{ "\x1b\0\0\0{\"opt\":\"ping\",\"more\":1    }", 31, "bad_request" },
		{ "\x22\0\0\0{\"opt\":\"upload\",\"filename\":\"/x\"}   ", 38, "bad_request" },
	};
	struct host h;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		host_start(&h, 0, "", "");
		assert_int_equal(wire_put_body(&h.wire, cases[i].raw, cases[i].len), 0);
		auto_json json_t *answer = get(&h);

		assert_text(answer, "code", cases[i].code);
		assert_true(json_is_true(json_object_get(answer, "close")));
		expect_end(&h);
		host_end(&h);
	}
}

static void
every_truncation_ends_quietly(void **state)
{
	static const char frame[] =
	    "\x2d\0\0\0{\"opt\":\"upload\",\"filename\":\"/x\",\"filesize\":9}"
	    "123456789";
	struct host h;
	json_t *answer;

	(void)state;
	for (size_t n = 0; n < sizeof(frame) - 1; n++) {
		host_start(&h, 0, "", "");
		assert_int_equal(wire_put_body(&h.wire, frame, n), 0);
		assert_int_equal(wire_flush(&h.wire), 0);
		assert_int_equal(shutdown(h.wire.fd, SHUT_WR), 0);
		assert_int_equal(wire_get(&h.wire, &answer), -ENODATA);
		assert_int_equal(host_wait(&h), 0);
		assert_missing("x");
		host_end(&h);
	}
	assert_no_orphan();
}

static void
requests_out_of_the_ordinary(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:i, s:i}", "opt", "append", "body", 20, "id", 1));
	assert_int_equal(wire_put_body(&h.wire, "0123456789abcdefghij", 20), 0);
	expect_code(&h, "unsupported");
	put(&h, json_pack("{s:s, s:b, s:i}", "opt", "append", "more", 1, "body", 4));
	assert_int_equal(wire_put_body(&h.wire, "0123", 4), 0);
	put(&h, json_pack("{s:i, s:b}", "body", 3, "more", 1));
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	put(&h, json_object());
	expect_code(&h, "unsupported");
	put(&h, json_pack("{s:i}", "opt", 7));
	expect_code(&h, "bad_request");
	put(&h, json_pack("{s:s, s:f}", "opt", "ping", "id", 1.5));
	expect_code(&h, "bad_request");
	put(&h, json_pack("{s:s, s:s, s:i, s:[s]}", "opt", "upload", "filename", "/n", "filesize",
			  2, "need", "only_if_raining"));
	assert_int_equal(wire_put_body(&h.wire, "no", 2), 0);
	expect_code(&h, "unsupported");
	put(&h, json_pack("{s:s, s:s, s:i, s:[s,s]}", "opt", "upload", "filename_hex", "2f6e",
			  "filesize", 2, "need", "filename_hex", "parents"));
	assert_int_equal(wire_put_body(&h.wire, "ok", 2), 0);
	expect_status(&h, "ok");
	put(&h, json_pack("{s:s, s:[s]}", "opt", "ping", "need", "speed"));
	expect_code(&h, "unsupported");
	put(&h, json_pack("{s:s, s:s, s:s}", "opt", "upload", "filename", "/n", "filesize", "2"));
	expect_code(&h, "bad_request");
	expect_end(&h);
	assert_content("n", "ok", 2);
	host_end(&h);
}

/* ---- many */

static void
pipelined_uploads(void **state)
{
	enum { N = 5000, LEN = 4096 };
	auto_free uint8_t *body = random_bytes(LEN);
	char name[32];
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "/%d", i);
		memcpy(body, &i, sizeof(i));
		put(&h, json_pack("{s:s, s:s, s:i, s:i}", "opt", "upload", "filename", name,
				  "filesize", LEN, "id", i));
		assert_int_equal(wire_put_body(&h.wire, body, LEN), 0);
	}
	for (int i = 0; i < N; i++) {
		auto_json json_t *answer = get(&h);

		assert_text(answer, "status", "ok");
		assert_int_equal(json_integer_value(json_object_get(answer, "id")), i);
	}
	for (int i = 0; i < N; i += 499) {
		(void)snprintf(name, sizeof(name), "%d", i);
		memcpy(body, &i, sizeof(i));
		assert_content(name, body, LEN);
	}
	assert_int_equal(h.report->uploads, N);
	host_end(&h);
	assert_no_orphan();
}

/* Each request sees what those before it did. */
static void
order_in_a_pipeline(void **state)
{
	static const char *const codes[] = { "ok", "ok", "not_found", "ok", "error", "ok" };
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put_upload(&h, "/a", "x", 1);
	put_upload(&h, "/a", "xy", 2);
	put_upload(&h, "/d/a", "x", 1);
	put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/b", "filesize", 0,
			  "if_exists", "fail"));
	put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/b", "filesize", 0,
			  "if_exists", "fail"));
	put(&h, json_pack("{s:s}", "opt", "ping"));
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		auto_json json_t *answer = get(&h);
		const char *key = i == 2 ? "code" : "status";

		assert_text(answer, key, codes[i]);
	}
	assert_content("a", "xy", 2);
	host_end(&h);
}

/* Far more requests than answers are read: nothing locks up, nothing is lost. */
static void
written_ahead_without_reading(void **state)
{
	enum { N = 20000 };
	struct buf out;
	struct host h;
	uint8_t *at;

	(void)state;
	host_start(&h, HOST_SMALL_BUFFERS, "", "");
	buf_init(&out, 4 << 20);
	for (int i = 0; i < N; i++) {
		auto_json json_t *frame = json_pack("{s:s, s:i}", "opt", "ping", "id", i);

		assert_int_equal(message_append(&out, frame), 0);
	}
	/* everything is written before the first answer is read */
	while (buf_len(&out) > 0) {
		struct pollfd p = { .fd = h.wire.fd, .events = POLLOUT };
		ssize_t n;

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = send(h.wire.fd, buf_data(&out), buf_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n > 0);
		buf_consume(&out, (size_t)n);
	}
	buf_done(&out);
	for (int i = 0; i < N; i++) {
		auto_json json_t *answer = get(&h);

		assert_int_equal(json_integer_value(json_object_get(answer, "id")), i);
	}
	assert_int_equal(buf_reserve(&h.wire.in, 1, &at), 0);
	host_end(&h);
}

static void
half_close(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	for (int i = 0; i < 10; i++)
		put_upload(&h, "/hc", "x", 1);
	assert_int_equal(wire_flush(&h.wire), 0);
	assert_int_equal(shutdown(h.wire.fd, SHUT_WR), 0);
	for (int i = 0; i < 10; i++)
		expect_status(&h, "ok");
	expect_end(&h);
	host_end(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(uploads_and_answers),
		TEST(broken_frames),
		TEST(every_truncation_ends_quietly),
		TEST(requests_out_of_the_ordinary),
		TEST(pipelined_uploads),
		TEST(order_in_a_pipeline),
		TEST(written_ahead_without_reading),
		TEST(half_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
