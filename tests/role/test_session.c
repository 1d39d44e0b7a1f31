/* One session against a client that does what the protocol allows, and what it does not. */
#include "daemon/session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/digest.h"
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

static void
mode_time_and_parents(void **state)
{
	struct host h;
	struct stat st;

	(void)state;
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:i, s:I, s:b}", "opt", "upload", "filename",
			  "/a/b/c/file", "filesize", 3, "mode", 0611, "mtime_ns",
			  (json_int_t)-1500000000, "parents", 1));
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	expect_status(&h, "ok");
	assert_int_equal(fstatat(root, "a/b/c/file", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0611);
	assert_int_equal(st.st_mtim.tv_sec, -2);
	assert_int_equal(st.st_mtim.tv_nsec, 500000000);
	host_end(&h);
}

static void
pieces_and_holes(void **state)
{
	auto_free uint8_t *body = random_bytes(2000000);
	struct digest *d;
	struct digest_value v;
	char text[DIGEST_TEXT_MAX];
	struct host h;
	struct stat st;

	(void)state;
	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	digest_update(d, body, 2000000);
	digest_update_zeros(d, 1 << 30);
	digest_update(d, "end", 3);
	digest_final(d, &v);
	d = digest_free(d);

	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:b, s:s, s:n, s:i}", "opt", "upload", "filename", "/p",
			  "more", 1, "digest", "sha256", "filesize", "body", 7));
	assert_int_equal(wire_put_body(&h.wire, body, 7), 0);
	put(&h, json_pack("{s:b}", "more", 1)); /* a sign of life */
	put(&h, json_pack("{s:b, s:i, s:i}", "more", 1, "body", 2000000 - 7, "hole", 1 << 30));
	assert_int_equal(wire_put_body(&h.wire, body + 7, 2000000 - 7), 0);
	put(&h, json_pack("{s:i, s:s}", "body", 3, "digest", digest_format(&v, text)));
	assert_int_equal(wire_put_body(&h.wire, "end", 3), 0);
	auto_json json_t *receipt = get(&h);

	assert_text(receipt, "digest", text);
	assert_int_equal(fstatat(root, "p", &st, 0), 0);
	assert_int_equal(st.st_size, 2000000 + (1 << 30) + 3);
	assert_true(st.st_blocks * 512 < 4000000);
	host_end(&h);
}

static void
what_the_content_is_must_be_true(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/x", "filesize", 3,
			  "digest", "xxh3:00000000000000000000000000000000"));
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	expect_code(&h, "digest_mismatch");
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:i}", "opt", "upload", "filename", "/x",
			  "filesize", 9, "more", 1, "body", 3));
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	put(&h, json_object());
	expect_code(&h, "size_mismatch");
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:i}", "opt", "upload", "filename", "/x",
			  "filesize", 1, "more", 1, "body", 3));
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	put(&h, json_object());
	expect_code(&h, "size_mismatch");
	put(&h, json_pack("{s:s, s:s, s:b}", "opt", "upload", "filename", "/x", "more", 1));
	put(&h, json_pack("{s:s, s:s}", "status", "error", "code", "cancelled"));
	expect_code(&h, "cancelled");
	put(&h, json_pack("{s:s, s:s, s:b}", "opt", "upload", "filename", "/x", "more", 1));
	put(&h, json_pack("{s:s}", "digest", "sha256:00"));
	expect_code(&h, "bad_request");
	assert_missing("x");
	assert_no_orphan();
	expect_ping(&h);
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

static void
names_that_are_refused(void **state)
{
	static const char *const names[] = { "",        "/",       "..",         "/../x",
					     "/a//b",   "/.",      "/x/../y",    "/.ftd/x",
					     "/.ftd-x", "/a/.ftd", "/missing/x", "/dir" };
	static const char *const codes[] = { "bad_name", "not_a_file", "bad_name",  "bad_name",
					     "bad_name", "bad_name",   "bad_name",  "bad_name",
					     "bad_name", "bad_name",   "not_found", "not_a_file" };
	struct host h;

	(void)state;
	assert_int_equal(mkdirat(root, "dir", 0700), 0);
	host_start(&h, 0, "", "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		put_upload(&h, names[i], "body", 4);
		auto_json json_t *answer = get(&h);

		assert_text(answer, "code", codes[i]);
	}
	expect_ping(&h);
	assert_no_orphan();
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(uploads_and_answers, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(mode_time_and_parents, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(pieces_and_holes, talk_make_root, talk_remove_root),
		cmocka_unit_test_setup_teardown(what_the_content_is_must_be_true, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(broken_frames, talk_make_root, talk_remove_root),
		cmocka_unit_test_setup_teardown(every_truncation_ends_quietly, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(requests_out_of_the_ordinary, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(names_that_are_refused, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(pipelined_uploads, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(order_in_a_pipeline, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(written_ahead_without_reading, talk_make_root,
						talk_remove_root),
		cmocka_unit_test_setup_teardown(half_close, talk_make_root, talk_remove_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
