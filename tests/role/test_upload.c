/* What an upload may ask for, and what it gets. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/digest.h"
#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

enum { HOLE = 300 << 20 }; /* hashed in two steps */

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
	digest_update_zeros(d, HOLE);
	digest_update(d, "end", 3);
	digest_final(d, &v);
	d = digest_free(d);

	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:b, s:s, s:n, s:i}", "opt", "upload", "filename", "/p",
			  "more", 1, "digest", "sha256", "filesize", "body", 7));
	assert_int_equal(wire_put_body(&h.wire, body, 7), 0);
	put(&h, json_pack("{s:b}", "more", 1)); /* a sign of life */
	put(&h, json_pack("{s:b, s:i, s:i}", "more", 1, "body", 2000000 - 7, "hole", HOLE));
	assert_int_equal(wire_put_body(&h.wire, body + 7, 2000000 - 7), 0);
	put(&h, json_pack("{s:i, s:s}", "body", 3, "digest", digest_format(&v, text)));
	assert_int_equal(wire_put_body(&h.wire, "end", 3), 0);
	auto_json json_t *receipt = get(&h);

	assert_text(receipt, "digest", text);
	assert_int_equal(fstatat(root, "p", &st, 0), 0);
	assert_int_equal(st.st_size, 2000000 + HOLE + 3);
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

static void
limits_are_told_before_the_body(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "limits = { file_size = \"1K\"; };");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "upload", "filename", "/x", "filesize", 2000));
	auto_json json_t *answer = get(&h);

	assert_text(answer, "code", "file_too_large");
	assert_int_equal(json_integer_value(json_object_get(answer, "limit")), 1024);
	assert_int_equal(wire_put_body(&h.wire, answer, 0), 0);
	host_end(&h);

	/* a size that is not told is found out */
	host_start(&h, HOST_HELLO, "", "limits = { file_size = \"1K\"; };");
	put(&h, json_pack("{s:s, s:s, s:b}", "opt", "upload", "filename", "/x", "more", 1));
	put(&h, json_pack("{s:b, s:I}", "more", 1, "hole", (json_int_t)INT64_MAX));
	expect_code(&h, "file_too_large");
	put(&h, json_object());
	expect_ping(&h);
	host_end(&h);

	host_start(&h, HOST_HELLO, "", "limits = { free_space = \"4000000T\"; };");
	put_upload(&h, "/x", "1", 1);
	expect_code(&h, "disk_full");
	expect_ping(&h);
	host_end(&h);
	assert_missing("x");
	assert_no_orphan();
}

static void
expect_and_continue(void **state)
{
	struct host h;
	json_t *q;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:b}", "opt", "upload", "filename", "/e", "filesize", 3,
			  "expect", 1));
	expect_status(&h, "continue");
	assert_int_equal(wire_put_body(&h.wire, "abc", 3), 0);
	auto_json json_t *receipt = get(&h);

	assert_text(receipt, "status", "ok");
	/* the same again: nothing is to be sent */
	q = json_pack("{s:s, s:s, s:i, s:b, s:s, s:O}", "opt", "upload", "filename", "/e",
		      "filesize", 3, "expect", 1, "if_exists", "fail", "digest",
		      json_object_get(receipt, "digest"));
	put(&h, q);
	auto_json json_t *again = get(&h);

	assert_text(again, "status", "ok");
	assert_true(json_is_true(json_object_get(again, "unchanged")));
	assert_true(json_equal(json_object_get(again, "etag"), json_object_get(receipt, "etag")));
	/* another content for a taken name: refused, and no body follows */
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:s}", "opt", "upload", "filename", "/e",
			  "filesize", 5, "expect", 1, "if_exists", "fail"));
	auto_json json_t *taken = get(&h);

	assert_text(taken, "code", "exists");
	assert_text(json_object_get(taken, "current"), "name", "e");
	expect_ping(&h);
	assert_content("e", "abc", 3);
	host_end(&h);
	assert_no_orphan();
}

/* Who expects an answer sends no body before it, whatever is wrong with the request. */
static void
nothing_follows_what_is_expected(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:s}", "opt", "upload", "filename", "/e",
			  "filesize", 1000, "expect", 1, "mode", "rw"));
	expect_code(&h, "bad_request");
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:s}", "opt", "upload", "filename", "/e",
			  "filesize", 1000, "expect", 1, "digest", "md5"));
	expect_code(&h, "unsupported");
	put(&h, json_pack("{s:s, s:s, s:i, s:b, s:b}", "opt", "upload", "filename", "/m/e",
			  "filesize", 1000, "expect", 1, "more", 1));
	expect_code(&h, "not_found");
	expect_ping(&h);
	host_end(&h);
}

static void
if_match(void **state)
{
	struct host h;
	const char *etag;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	put_upload(&h, "/m", "one", 3);
	auto_json json_t *receipt = get(&h);

	etag = json_string_value(json_object_get(receipt, "etag"));
	for (int i = 0; i < 2; i++) {
		put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/m",
				  "filesize", 3, "if_match", etag));
		assert_int_equal(wire_put_body(&h.wire, "two", 3), 0);
		auto_json json_t *answer = get(&h);

		if (i == 0) {
			assert_text(answer, "status", "ok");
			continue;
		}
		assert_text(answer, "code", "changed");
		assert_text(json_object_get(answer, "current"), "name", "m");
	}
	put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/none", "filesize",
			  0, "if_match", etag));
	expect_code(&h, "changed");
	assert_content("m", "two", 3);
	host_end(&h);
}

/* Who may only put learns nothing of what is there. */
static void
drop_box(void **state)
{
	static const char *const how[] = { "replace", "fail", "keep_both" };
	struct host h;

	(void)state;
	assert_int_equal(mkdirat(root, "d", 0755), 0);
	host_start(&h, HOST_HELLO, "rights = \"dropbox\";", "");
	for (int i = 0; i < 3; i++) {
		put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/d",
				  "filesize", 1, "if_exists", how[i]));
		assert_int_equal(wire_put_body(&h.wire, how[i], 1), 0);
		auto_json json_t *receipt = get(&h);

		assert_text(receipt, "status", "ok");
		assert_null(json_object_get(receipt, "filename"));
	}
	assert_content("d (2)", "r", 1);
	assert_content("d (3)", "f", 1);
	assert_content("d (4)", "k", 1);
	put_upload(&h, "/missing/x", "1", 1);
	expect_code(&h, "permission");
	put_upload(&h, "/d (2)/x", "1", 1);
	expect_code(&h, "permission");
	put(&h, json_pack("{s:s, s:s, s:i, s:s}", "opt", "upload", "filename", "/d (2)", "filesize",
			  0, "if_match", "x"));
	expect_code(&h, "permission");
	put(&h, json_pack("{s:s, s:s, s:i, s:b}", "opt", "upload", "filename", "/n/x", "filesize",
			  0, "parents", 1));
	expect_code(&h, "permission");
	host_end(&h);
	assert_no_orphan();
}

static void
no_right_to_create(void **state)
{
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "rights = \"readonly\";", "");
	put_upload(&h, "/x", "1", 1);
	expect_code(&h, "permission");
	expect_ping(&h);
	assert_int_equal(h.report->failed, 1);
	host_end(&h);
	assert_missing("x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mode_time_and_parents),
		TEST(pieces_and_holes),
		TEST(what_the_content_is_must_be_true),
		TEST(names_that_are_refused),
		TEST(limits_are_told_before_the_body),
		TEST(expect_and_continue),
		TEST(nothing_follows_what_is_expected),
		TEST(if_match),
		TEST(drop_box),
		TEST(no_right_to_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
