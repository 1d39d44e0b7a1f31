/* Rules of users and paths, as a client meets them; and what it learns of what it may not see. */
#include "daemon/session/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/role/nobody.h"
#include "tests/role/talk.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static void
make_file(const char *name, const char *content)
{
	auto_close int fd = openat(root, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, content, strlen(content)), 0);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdirat(root, name, 0755), 0);
}

static void
ask(struct host *h, const char *opt, const char *name)
{
	put(h, json_pack("{s:s, s:s}", "opt", opt, "filename", name));
}

static void
ask_flag(struct host *h, const char *opt, const char *name, const char *flag)
{
	put(h, json_pack("{s:s, s:s, s:b}", "opt", opt, "filename", name, flag, 1));
}

static void
ask_to(struct host *h, const char *opt, const char *name, const char *to)
{
	put(h, json_pack("{s:s, s:s, s:s}", "opt", opt, "filename", name, "to", to));
}

static void
upload(struct host *h, const char *name)
{
	put(h, json_pack("{s:s, s:s, s:i, s:b}", "opt", "upload", "filename", name, "filesize", 3,
			 "parents", 1));
	assert_int_equal(wire_put_body(&h->wire, "abc", 3), 0);
}

/* ---- listings and trees */

/* t: yes/x, peek/x, shut/x, shut/open/x, file */
static void
make_tree(void)
{
	static const char *const dirs[] = { "t", "t/yes", "t/peek", "t/shut", "t/shut/open" };
	static const char *const files[] = { "t/yes/x", "t/peek/x", "t/shut/x", "t/shut/open/x",
					     "t/file" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make_dir(dirs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(files[i], "abc");
}

#define TREE_RULES                                                                                 \
	"rules = ( { path = \"/t/peek\"; rights = \"list\"; },"                                    \
	" { path = \"/t/shut/open\"; rights = \"readonly\"; },"                                    \
	" { path = \"/t/shut\"; rights = \"none\"; }, { path = \"/t/file\"; rights = \"read\"; }," \
	" { rights = \"readonly\"; } );"

/* The entry of an array, or NULL. */
static const json_t *
entry(const json_t *entries, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach (entries, i, e)
		if (strcmp(json_string_value(json_object_get(e, "name")), name) == 0)
			return e;
	return NULL;
}

static void
a_listing_shows_what_it_keeps_back(void **state)
{
	struct host h;

	(void)state;
	make_tree();
	host_start(&h, HOST_SANDBOX, TREE_RULES, "");
	ask(&h, "list", "/t");
	auto_json json_t *flat = get(&h);
	const json_t *entries = json_object_get(flat, "entries");

	assert_int_equal(json_array_size(entries), 4);
	assert_text(entry(entries, "shut"), "type", "dir");
	assert_null(json_object_get(entry(entries, "shut"), "code"));
	assert_int_equal(json_integer_value(json_object_get(entry(entries, "file"), "filesize")),
			 0);
	assert_int_equal(json_integer_value(json_object_get(entry(entries, "file"), "mtime_ns")),
			 0);
	ask_flag(&h, "list", "/t", "recursive");
	auto_json json_t *deep = get(&h);

	entries = json_object_get(deep, "entries");
	assert_text(entry(entries, "shut"), "code", "permission");
	assert_text(entry(entries, "file"), "code", "permission");
	assert_null(entry(entries, "shut/x"));
	assert_null(entry(entries, "shut/open"));
	assert_null(json_object_get(entry(entries, "peek/x"), "code"));
	assert_non_null(entry(entries, "yes/x"));
	ask(&h, "list", "/t/shut");
	expect_code(&h, "permission");
	ask(&h, "stat", "/t/file");
	expect_code(&h, "permission");
	ask(&h, "stat", "/t/shut/none");
	expect_code(&h, "permission");
	ask(&h, "list", "/t/shut/open");
	expect_status(&h, "ok");
	host_end(&h);
}

static void
a_tree_leaves_out_what_may_not_be_read(void **state)
{
	unsigned errors = 0;
	struct host h;
	bool more = true;

	(void)state;
	make_tree();
	host_start(&h, HOST_SANDBOX, TREE_RULES, "");
	ask(&h, "download-tree", "/t");
	while (more) {
		auto_json json_t *frame = get(&h);
		uint8_t body[8];
		json_int_t n = json_integer_value(json_object_get(frame, "body"));

		assert_true(n <= 3);
		for (int got = 0; got < n;)
			got += wire_get_body(&h.wire, body + got, (size_t)(n - got));
		if (json_object_get(frame, "code") != NULL) {
			assert_text(frame, "code", "permission");
			errors++;
		}
		more = json_is_true(json_object_get(frame, "more"));
		if (more)
			continue;
		assert_text(frame, "status", "ok");
		/* yes and yes/x; peek, shut and file are named */
		assert_int_equal(json_integer_value(json_object_get(frame, "entries")), 5);
		assert_int_equal(json_integer_value(json_object_get(frame, "bytes")), 3);
		assert_int_equal(json_integer_value(json_object_get(frame, "errors")), 3);
	}
	assert_int_equal(errors, 3);
	host_end(&h);
}

/* A cursor is the client's word: it leads where a walk would have come to, and nowhere else. */
static void
a_cursor_leads_past_no_rule(void **state)
{
	auto_json json_t *page = NULL;
	const char *after = NULL;
	struct host h;

	(void)state;
	make_dir("t");
	make_dir("t/shut");
	make_file("t/shut/x", "abc");
	make_file("t/shut/y", "abc");
	host_start(&h, 0, "rights = \"readonly\";", "");
	put(&h, json_pack("{s:s, s:s, s:b, s:i}", "opt", "list", "filename", "/t", "recursive", 1,
			  "limit", 2));
	page = get(&h);
	after = json_string_value(json_object_get(page, "after"));
	assert_non_null(after);
	host_end(&h);
	host_start(
	    &h, 0,
	    "rules = ( { path = \"/t/shut\"; rights = \"none\"; }, { rights = \"readonly\"; } );",
	    "");
	put(&h, json_pack("{s:s, s:s, s:b, s:s}", "opt", "list", "filename", "/t", "recursive", 1,
			  "after", after));
	expect_code(&h, "bad_request");
	expect_ping(&h);
	host_end(&h);
}

/* ---- what lies beneath */

static void
whole_trees_need_the_rights_everywhere(void **state)
{
	struct host h;

	(void)state;
	make_tree();
	make_dir("u");
	host_start(&h, HOST_SANDBOX,
		   "rules = ( { path = \"/t/shut\"; rights = \"readonly\"; },"
		   " { path = \"/v/keep\"; rights = \"readonly\"; }, { rights = \"full\"; } );",
		   "");
	ask_flag(&h, "remove", "/t", "recursive");
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/t", "/new");
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/u", "/v"); /* what is in it would come under other rules */
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/u", "/t/shut/u");
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/t/shut/x", "/x");
	expect_code(&h, "permission");
	assert_content("t/yes/x", "abc", 3);
	assert_content("t/shut/x", "abc", 3);
	ask_flag(&h, "remove", "/t/yes", "recursive");
	expect_status(&h, "ok");
	ask_to(&h, "rename", "/u", "/w");
	expect_status(&h, "ok");
	ask_to(&h, "copy", "/t/shut/x", "/x");
	expect_status(&h, "ok");
	ask_to(&h, "copy", "/x", "/t/shut/y");
	expect_code(&h, "permission");
	assert_missing("t/yes");
	assert_missing("t/shut/y");
	host_end(&h);
}

static void
directories_on_the_way_need_the_right_too(void **state)
{
	struct host h;

	(void)state;
	make_dir("p");
	host_start(&h, HOST_SANDBOX,
		   "rules = ( { path = \"/p/mine\"; rights = \"full\"; },"
		   " { path = \"/q/mine\"; rights = \"full\"; }, { rights = \"readonly\"; } );",
		   "");
	upload(&h, "/p/mine/a/f");
	expect_status(&h, "ok");
	upload(&h, "/q/mine/f");
	expect_code(&h, "permission");
	ask_flag(&h, "mkdir", "/q/mine/d", "parents");
	expect_code(&h, "permission");
	ask_flag(&h, "mkdir", "/p/mine/b/c", "parents");
	expect_status(&h, "ok");
	assert_content("p/mine/a/f", "abc", 3);
	assert_missing("q");
	host_end(&h);
}

/* ---- users */

static void
rules_are_of_users(void **state)
{
	static const char share[] =
	    "anonymous = \"never\"; rules = ( { users = ( \"alice\" ); path = \"/a\"; rights = "
	    "\"full\"; }, { users = ( \"*\" ); rights = \"readonly\"; } );";
	static const struct {
		const char *user, *code;
	} rows[] = { { "alice", NULL }, { "bob", "permission" }, { "", "not_found" } };
	struct host h;

	(void)state;
	make_dir("a");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *shares = NULL;

		assert_true(
		    asprintf(&shares,
			     "rights = \"readonly\"; }, { path = \"/in\"; root = \"%s\"; %s",
			     scratch_path(), share) > 0);
		host_start_as(&h, HOST_SANDBOX, rows[i].user, shares, "");
		upload(&h, "/in/a/f");
		if (rows[i].code == NULL)
			expect_status(&h, "ok");
		else
			expect_code(&h, rows[i].code);
		ask(&h, "list", "/in");
		if (rows[i].user[0] != '\0')
			expect_status(&h, "ok");
		else
			expect_code(&h, "not_found");
		host_end(&h);
	}
}

/* ---- drop boxes: the same requests in an empty box and in one where everything is taken */

struct question {
	const char *json;
	bool body; /* three bytes follow */
};

#define UPLOAD(name, more) "{\"opt\":\"upload\",\"filename\":\"" name "\",\"filesize\":3" more "}"
#define XXH3_OLD "xxh3:1bcbfc1be90c1b300f3ca07a8cc8bf40"

static const struct question questions[] = {
	{ UPLOAD("/box/file", ""), true },
	{ UPLOAD("/box/dir", ""), true },
	{ UPLOAD("/box/link", ""), true },
	{ UPLOAD("/box/other", ",\"if_exists\":\"fail\""), true },
	{ UPLOAD("/box/other", ",\"if_exists\":\"keep_both\""), true },
	{ UPLOAD("/box/dir", ",\"if_exists\":\"replace\""), true },
	{ UPLOAD("/box/dir/f", ""), true },
	{ UPLOAD("/box/dir/f", ",\"parents\":true"), true },
	{ UPLOAD("/box/none/f", ""), true },
	{ UPLOAD("/box/file/f", ",\"parents\":true"), true },
	{ UPLOAD("/box/link/f", ""), true },
	{ UPLOAD("/box/file", ",\"if_match\":\"1-2-3-4\""), true },
	{ UPLOAD("/box/file", ",\"expect\":true,\"digest\":\"" XXH3_OLD "\""), false },
	{ "{\"opt\":\"mkdir\",\"filename\":\"/box/dir\"}", false },
	{ "{\"opt\":\"mkdir\",\"filename\":\"/box/dir\",\"parents\":true}", false },
	{ "{\"opt\":\"mkdir\",\"filename\":\"/box/new\"}", false },
	{ "{\"opt\":\"stat\",\"filename\":\"/box/file\"}", false },
	{ "{\"opt\":\"list\",\"filename\":\"/box\"}", false },
	{ "{\"opt\":\"list\",\"filename\":\"/box/dir\"}", false },
	{ "{\"opt\":\"download\",\"filename\":\"/box/file\"}", false },
	{ "{\"opt\":\"download-tree\",\"filename\":\"/box\"}", false },
	{ "{\"opt\":\"digest\",\"filename\":\"/box/file\"}", false },
	{ "{\"opt\":\"remove\",\"filename\":\"/box/file\"}", false },
	{ "{\"opt\":\"remove\",\"filename\":\"/box/dir\",\"recursive\":true}", false },
	{ "{\"opt\":\"rename\",\"filename\":\"/box/file\",\"to\":\"/src/x\"}", false },
	{ "{\"opt\":\"rename\",\"filename\":\"/src/a\",\"to\":\"/box/file\"}", false },
	{ "{\"opt\":\"rename\",\"filename\":\"/src/d\",\"to\":\"/box/dir\"}", false },
	{ "{\"opt\":\"rename\",\"filename\":\"/src/b\",\"to\":\"/box/dir\","
	  "\"if_exists\":\"replace\"}",
	  false },
	{ "{\"opt\":\"rename\",\"filename\":\"/src/c\",\"to\":\"/box/dir/f\"}", false },
	{ "{\"opt\":\"copy\",\"filename\":\"/src/c\",\"to\":\"/box/file\"}", false },
	{ "{\"opt\":\"copy\",\"filename\":\"/src/c\",\"to\":\"/box/dir\","
	  "\"if_exists\":\"replace\"}",
	  false },
	{ "{\"opt\":\"copy\",\"filename\":\"/src/c\",\"to\":\"/box/none/f\"}", false },
	{ "{\"opt\":\"copy\",\"filename\":\"/src/c\",\"to\":\"/box/dir/f\"}", false },
	{ "{\"opt\":\"copy\",\"filename\":\"/box/file\",\"to\":\"/src/y\"}", false },
	{ "{\"opt\":\"set\",\"filename\":\"/box/none\",\"mode\":511}", false },
};

/* The answer, or all of them up to the last; without what is of the file that was made. */
static json_t *
answer_to(struct host *h, const struct question *q)
{
	json_error_t e;

	put(h, json_loads(q->json, 0, &e));
	if (q->body)
		assert_int_equal(wire_put_body(&h->wire, "abc", 3), 0);
	auto_json json_t *frame = get(h);
	const char *status = json_string_value(json_object_get(frame, "status"));

	if (strcmp(status, "continue") == 0) {
		assert_int_equal(wire_put_body(&h->wire, "old", 3), 0);
		json_decref(frame);
		frame = get(h);
	}
	(void)json_object_del(frame, "etag");
	(void)json_object_del(frame, "mtime_ns");
	return json_incref(frame);
}

/* Asks everything in a box of these rights, as it is now. */
static json_t *
answers_of(const char *rights)
{
	auto_json json_t *all = json_array();
	auto_free char *share = NULL;
	struct host h;

	make_dir("src");
	make_file("src/a", "a");
	make_file("src/b", "b");
	make_file("src/c", "c");
	make_dir("src/d");
	assert_true(asprintf(&share,
			     "rules = ( { path = \"/box\"; rights = \"%s\"; },"
			     " { path = \"/src\"; rights = \"full\"; } );",
			     rights) > 0);
	host_start(&h, HOST_SANDBOX | HOST_HELLO, share, "");
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		assert_int_equal(json_array_append_new(all, answer_to(&h, &questions[i])), 0);
	host_end(&h);
	return take_ptr(all);
}

static void
nothing_is_learned_with(const char *rights)
{
	auto_json json_t *empty = NULL, *taken = NULL;
	const json_t *a, *b;

	make_dir("box");
	empty = answers_of(rights);
	scratch_remove();
	root = scratch_make();
	make_dir("box");
	make_dir("box/dir");
	make_file("box/file", "old");
	make_file("box/other", "old");
	make_file("box/dir/f", "old");
	assert_int_equal(symlinkat("dir", root, "box/link"), 0);
	taken = answers_of(rights);
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		a = json_array_get(empty, i);
		b = json_array_get(taken, i);
		if (!json_equal(a, b)) {
			auto_free char *first = json_dumps(a, 0), *second = json_dumps(b, 0);

			fail_msg("with %s: %s: %s, but %s", rights, questions[i].json, first,
				 second);
		}
	}
	assert_content("box/dir/f", "old", 3);
	if (strstr(rights, "replace") == NULL && strcmp(rights, "dropbox") == 0)
		assert_content("box/file", "old", 3);
}

static void
an_uploader_learns_nothing(void **state)
{
	(void)state;
	nothing_is_learned_with("dropbox");
	assert_content("box/file (2)", "abc", 3);
	assert_content("box/dir (2)", "abc", 3);
}

static void
nor_does_one_who_may_replace(void **state)
{
	(void)state;
	nothing_is_learned_with("create,replace");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_listing_shows_what_it_keeps_back),
		CASE(a_tree_leaves_out_what_may_not_be_read),
		CASE(a_cursor_leads_past_no_rule),
		CASE(whole_trees_need_the_rights_everywhere),
		CASE(directories_on_the_way_need_the_right_too),
		CASE(rules_are_of_users),
		CASE(an_uploader_learns_nothing),
		CASE(nor_does_one_who_may_replace),
	};

	return cmocka_run_group_tests(tests, nobody_become, NULL);
}
