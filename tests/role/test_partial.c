/* Resumable uploads: what a session answers, and what it leaves on disk. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/own.h"
#include "tests/role/talk.h"
#include "tests/unit/unit.h"

enum { ID_SIZE = 64 };

/* Begins, and keeps the id. The caller owns the answer. */
static json_t *
begin(struct host *h, const char *name, json_int_t size, json_int_t mtime, char *ret_id)
{
	const char *id;
	json_t *answer;

	put(h, json_pack("{s:s, s:s, s:I, s:I}", "opt", "upload-begin", "filename", name,
			 "filesize", size, "mtime_ns", mtime));
	answer = get(h);
	assert_text(answer, "status", "ok");
	id = json_string_value(json_object_get(answer, "upload"));
	assert_non_null(id);
	assert_int_equal(strlen(id), 49);
	memcpy(ret_id, id, strlen(id) + 1);
	return answer;
}

static void
put_part(struct host *h, const char *id, json_int_t offset, const void *body, size_t len)
{
	put(h, json_pack("{s:s, s:s, s:I, s:I}", "opt", "upload-part", "upload", id, "offset",
			 offset, "filesize", (json_int_t)len));
	assert_int_equal(wire_put_body(&h->wire, body, len), 0);
}

static void
ask(struct host *h, const char *opt, const char *id)
{
	put(h, json_pack("{s:s, s:s}", "opt", opt, "upload", id));
}

static void
expect_ranges(const json_t *answer, const char *text)
{
	auto_free char *is = json_dumps(json_object_get(answer, "ranges"), JSON_COMPACT);

	assert_non_null(is);
	assert_string_equal(is, text);
}

static void
by_parts_and_again(void **state)
{
	char id[ID_SIZE], newer[ID_SIZE];
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	auto_json json_t *first = begin(&h, "/f", 9, 1, id);
	expect_ranges(first, "[]");
	put_part(&h, id, 3, "def", 3);
	auto_json json_t *part = get(&h);
	expect_ranges(part, "[[3,6]]");
	host_end(&h);
	assert_missing("f");

	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	auto_json json_t *again = begin(&h, "/f", 9, 1, newer);
	expect_ranges(again, "[[3,6]]");
	assert_memory_equal(id, newer, 33);
	assert_string_not_equal(id, newer);
	put_part(&h, id, 0, "abc", 3);
	expect_code(&h, "taken_over");
	put_part(&h, newer, 0, "abc", 3);
	expect_status(&h, "ok");
	ask(&h, "upload-end", newer);
	auto_json json_t *refused = get(&h);
	assert_text(refused, "code", "size_mismatch");
	expect_ranges(refused, "[[0,6]]");
	put_part(&h, newer, 6, "ghi", 3);
	expect_status(&h, "ok");
	ask(&h, "upload-end", newer);
	auto_json json_t *receipt = get(&h);
	assert_text(receipt, "status", "ok");
	assert_content("f", "abcdefghi", 9);
	ask(&h, "upload-end", newer);
	auto_json json_t *repeated = get(&h);
	assert_true(json_equal(receipt, repeated));
	host_end(&h);
	assert_no_orphan();
}

/* A directory that gives its group: the content waits in it. */
static void
in_a_directory_with_properties(void **state)
{
	char id[ID_SIZE];
	struct host h;
	struct stat st;

	(void)state;
	assert_int_equal(mkdirat(root, "d", 0755), 0);
	assert_int_equal(fchmodat(root, "d", 02775, 0), 0);
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	json_decref(begin(&h, "/d/f", 3, 1, id));
	put_part(&h, id, 0, "ab", 2);
	expect_status(&h, "ok");
	host_end(&h);
	host_start(&h, HOST_HELLO | HOST_SANDBOX, "", "");
	auto_json json_t *again = begin(&h, "/d/f", 3, 1, id);
	expect_ranges(again, "[[0,2]]");
	put_part(&h, id, 2, "c", 1);
	expect_status(&h, "ok");
	ask(&h, "upload-end", id);
	expect_status(&h, "ok");
	assert_content("d/f", "abc", 3);
	json_decref(begin(&h, "/d/g", 3, 1, id));
	ask(&h, "upload-abort", id);
	expect_status(&h, "ok");
	host_end(&h);
	assert_int_equal(unlinkat(root, "d/f", 0), 0);
	assert_int_equal(unlinkat(root, "d", AT_REMOVEDIR), 0); /* nothing else is in it */
	assert_int_equal(fstatat(root, ".ftd/uploads", &st, 0), 0);
}

static void
rights_are_those_of_the_target(void **state)
{
	char id[ID_SIZE];
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "");
	json_decref(begin(&h, "/f", 3, 1, id));
	host_end(&h);
	host_start(&h, HOST_HELLO, "rights = \"readonly\";", "");
	put_part(&h, id, 0, "abc", 3);
	expect_code(&h, "permission");
	ask(&h, "upload-end", id);
	expect_code(&h, "permission");
	put(&h,
	    json_pack("{s:s, s:s, s:i}", "opt", "upload-begin", "filename", "/g", "filesize", 1));
	expect_code(&h, "permission");
	expect_ping(&h);
	host_end(&h);
}

static void
limits(void **state)
{
	char id[ID_SIZE];
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "", "limits = { file_size = \"10\"; free_space = \"0\"; };");
	put(&h,
	    json_pack("{s:s, s:s, s:i}", "opt", "upload-begin", "filename", "/f", "filesize", 11));
	expect_code(&h, "file_too_large");
	json_decref(begin(&h, "/f", 10, 1, id));
	put_part(&h, id, 8, "abc", 3);
	expect_code(&h, "size_mismatch");
	put_part(&h, id, INT64_MAX, "abc", 3);
	expect_code(&h, "size_mismatch");
	put(&h, json_pack("{s:s, s:s, s:n}", "opt", "upload-begin", "filename", "/u", "filesize"));
	auto_json json_t *unknown = get(&h);
	assert_text(unknown, "status", "ok");
	put_part(&h, json_string_value(json_object_get(unknown, "upload")), 8, "abc", 3);
	expect_code(&h, "file_too_large");
	expect_ping(&h);
	host_end(&h);
}

/* What is unfinished counts as long as it is there, whoever is connected. */
static void
quota(void **state)
{
	char id[ID_SIZE];
	struct host h;

	(void)state;
	host_start(&h, HOST_HELLO, "quota = \"10\";", "");
	put(&h, json_pack("{s:s, s:s, s:i, s:i}", "opt", "upload-begin", "filename", "/f",
			  "filesize", 8, "mtime_ns", 1));
	auto_json json_t *first = get(&h);
	if (strcmp(json_string_value(json_object_get(first, "status")), "ok") != 0) {
		host_end(&h);
		skip(); /* no attributes of users here */
	}
	host_end(&h);
	host_start(&h, HOST_HELLO, "quota = \"10\";", "");
	put_upload(&h, "/g", "123", 3);
	expect_code(&h, "quota_exceeded");
	put(&h, json_pack("{s:s, s:s, s:i, s:i}", "opt", "upload-begin", "filename", "/h",
			  "filesize", 3, "mtime_ns", 1));
	expect_code(&h, "quota_exceeded");
	put_upload(&h, "/g", "12", 2);
	expect_status(&h, "ok");
	json_decref(begin(&h, "/f", 8, 1, id));
	put_part(&h, id, 0, "12345678", 8);
	expect_status(&h, "ok");
	ask(&h, "upload-end", id);
	expect_status(&h, "ok");
	put_upload(&h, "/g2", "1", 1);
	expect_code(&h, "quota_exceeded");
	put(&h, json_pack("{s:s, s:s}", "opt", "remove", "filename", "/f"));
	expect_status(&h, "ok");
	json_decref(begin(&h, "/f", 8, 1, id));
	ask(&h, "upload-abort", id);
	expect_status(&h, "ok");
	put_upload(&h, "/f", "12345678", 8);
	expect_status(&h, "ok");
	host_end(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_parts_and_again),
		TEST(in_a_directory_with_properties),
		TEST(rights_are_those_of_the_target),
		TEST(limits),
		TEST(quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
