/* daemon/session/publish.c and group.c: what gets a name, when, and what is told about it. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/alone.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct session s;
static int root = -1;

static int
begin_with(const char *share)
{
	root = scratch_make();
	return root < 0 || alone_start(&s, share) != 0;
}

static int
begin(void **state)
{
	(void)state;
	return begin_with("");
}

static int
begin_without_list(void **state)
{
	(void)state;
	return begin_with("rights = \"dropbox\";");
}

static int
begin_without_sync(void **state)
{
	(void)state;
	return begin_with("durability = \"none\";");
}

static int
end(void **state)
{
	(void)state;
	alone_end(&s);
	close_fd(&root);
	scratch_remove();
	return 0;
}

/* An upload that is wholly received. */
static struct publish
content(const char *name, const char *text, enum publish_how how)
{
	struct place place = { .share = 0, .rest = name };
	struct publish p;

	publish_init(&p);
	p.how = how;
	p.rights = s.view.shares[0];
	p.target_dir = path_open_parent(root, name, false, &name);
	assert_true(p.target_dir >= 0);
	(void)snprintf(p.leaf, sizeof(p.leaf), "%s", name);
	p.name = strdup(place.rest);
	p.size = strlen(text);
	assert_int_equal(staging_place(&s, &place, p.target_dir, 0666, &p.staging), 0);
	assert_int_equal(io_write_full(p.staging.fd, text, strlen(text)), 0);
	return p;
}

static int
publish(struct publish *p)
{
	int r;

	publish_all(&s, p, 1, &r);
	return r;
}

static int
publish_and_forget(const char *name, const char *text, enum publish_how how)
{
	struct publish p = content(name, text, how);
	int r = publish(&p);

	publish_done(&s, &p);
	return r;
}

static void
assert_content(const char *name, const char *text)
{
	auto_free char *is = NULL;
	size_t len;

	assert_int_equal(io_read_file(root, name, 4096, &is, &len), 0);
	assert_string_equal(is, text);
}

static void
assert_told(const struct publish *p, const char *key, const char *value)
{
	auto_json json_t *receipt = publish_receipt(&s, p);
	const char *is = json_string_value(json_object_get(receipt, key));

	assert_non_null(receipt);
	if (value == NULL)
		assert_null(is);
	else
		assert_string_equal(is, value);
}

/* ---- one */

static void
replace(void **state)
{
	struct publish p;
	struct stat st;

	(void)state;
	assert_int_equal(publish_and_forget("f", "one", PUBLISH_REPLACE), 0);
	p = content("f", "two", PUBLISH_REPLACE);
	assert_content("f", "one"); /* until it is published */
	assert_int_equal(publish(&p), 0);
	assert_content("f", "two");
	assert_int_equal(fstatat(root, "f", &st, 0), 0);
	assert_int_equal(p.st.mtime_ns,
			 (json_int_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	assert_told(&p, "durability", "full");
	assert_told(&p, "filename", NULL);
	assert_int_equal(s.written, 2);
	publish_done(&s, &p);
	assert_int_equal(mkdirat(root, "dir", 0755), 0);
	assert_string_equal(err_code(publish_and_forget("dir", "x", PUBLISH_REPLACE)),
			    "not_a_file");
	assert_int_equal(s.written, 2);
}

static void
refuse_if_taken(void **state)
{
	struct publish p;

	(void)state;
	assert_int_equal(publish_and_forget("f", "one", PUBLISH_FAIL), 0);
	p = content("f", "two", PUBLISH_FAIL);
	assert_int_equal(publish(&p), -FTD_E_exists);
	assert_content("f", "one");
	assert_int_equal(json_integer_value(json_object_get(p.current, "filesize")), 3);
	assert_string_equal(json_string_value(json_object_get(p.current, "name")), "f");
	publish_done(&s, &p);
}

static void
keep_both(void **state)
{
	char longest[256];
	struct publish p;

	(void)state;
	assert_int_equal(mkdirat(root, "d", 0755), 0);
	assert_int_equal(publish_and_forget("d/a.tar.gz", "1", PUBLISH_KEEP_BOTH), 0);
	assert_int_equal(publish_and_forget("d/a.tar.gz", "2", PUBLISH_KEEP_BOTH), 0);
	p = content("d/a.tar.gz", "3", PUBLISH_KEEP_BOTH);
	assert_int_equal(publish(&p), 0);
	assert_told(&p, "filename", "/d/a.tar (3).gz");
	publish_done(&s, &p);
	assert_content("d/a.tar.gz", "1");
	assert_content("d/a.tar (2).gz", "2");
	assert_content("d/a.tar (3).gz", "3");

	/* 255 bytes are the limit, and no character is cut in two */
	memset(longest, 'x', 255);
	longest[255] = '\0';
	memcpy(longest + 249,
	       "\xc3\xa4"
	       "\xc3\xa4"
	       "\xc3\xa4",
	       6);
	assert_int_equal(publish_and_forget(longest, "1", PUBLISH_KEEP_BOTH), 0);
	assert_int_equal(publish_and_forget(longest, "2", PUBLISH_KEEP_BOTH), 0);
	memcpy(longest + 251, " (2)", 5);
	assert_content(longest, "2");
}

static void
make_empty(const char *name)
{
	auto_close int fd = openat(root, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

/* However often a name was dropped: it is taken once more, and nobody is told. */
static void
a_drop_box_is_never_full_of_a_name(void **state)
{
	char name[32];
	struct publish p;

	(void)state;
	make_empty("scan.pdf");
	for (unsigned i = 2; i <= 999; i++) {
		(void)snprintf(name, sizeof(name), "scan (%u).pdf", i);
		make_empty(name);
	}
	for (unsigned i = 0; i < 3; i++) {
		p = content("scan.pdf", "once more", PUBLISH_REPLACE);
		assert_int_equal(publish(&p), 0);
		assert_content(p.leaf, "once more");
		publish_done(&s, &p);
	}
}

static void
if_match(void **state)
{
	char etag[ENTRY_ETAG_MAX];
	struct entry_stat st;
	struct publish p;

	(void)state;
	assert_int_equal(publish_and_forget("f", "one", PUBLISH_REPLACE), 0);
	assert_int_equal(entry_stat(root, "f", &st), 0);
	(void)entry_etag(&st, etag);

	p = content("f", "two", PUBLISH_REPLACE);
	p.match = true;
	memcpy(p.etag, etag, sizeof(etag));
	assert_int_equal(publish(&p), 0);
	publish_done(&s, &p);

	p = content("f", "three", PUBLISH_REPLACE);
	p.match = true;
	memcpy(p.etag, etag, sizeof(etag));
	assert_int_equal(publish(&p), -FTD_E_changed);
	assert_non_null(p.current);
	publish_done(&s, &p);
	assert_content("f", "two");

	p = content("new", "x", PUBLISH_REPLACE);
	p.match = true;
	assert_int_equal(publish(&p), -FTD_E_changed);
	publish_done(&s, &p);
}

/* What looks as if created in its directory: the group of a setgid directory. */
static void
setgid_directory(void **state)
{
	struct stat dir, st;

	(void)state;
	assert_int_equal(mkdirat(root, "g", 0755), 0);
	if (fchownat(root, "g", (uid_t)-1, 12345, 0) < 0)
		skip(); /* needs root */
	assert_int_equal(fchmodat(root, "g", 02775, 0), 0);
	assert_int_equal(publish_and_forget("g/f", "x", PUBLISH_REPLACE), 0);
	assert_int_equal(fstatat(root, "g", &dir, 0), 0);
	assert_int_equal(fstatat(root, "g/f", &st, 0), 0);
	assert_int_equal(st.st_gid, dir.st_gid);
	assert_content("g/f", "x");
	assert_int_equal(unlinkat(root, "g/f", 0), 0);
	assert_int_equal(unlinkat(root, "g", AT_REMOVEDIR), 0); /* no staging file is left */
}

/* ---- who may not list */

static void
drop_box(void **state)
{
	struct publish p;

	(void)state;
	for (int how = PUBLISH_REPLACE; how <= PUBLISH_KEEP_BOTH; how++) {
		p = content("f", "x", (enum publish_how)how);
		assert_int_equal(publish(&p), 0);
		assert_told(&p, "filename", NULL);
		assert_null(p.current);
		publish_done(&s, &p);
	}
	assert_content("f", "x");
	assert_content("f (2)", "x");
	assert_content("f (3)", "x");
}

static void
no_right_to_replace(void **state)
{
	struct publish p;

	(void)state;
	assert_int_equal(publish_and_forget("f", "one", PUBLISH_REPLACE), 0);
	p = content("f", "two", PUBLISH_REPLACE);
	p.rights &= ~(unsigned)RIGHT_REPLACE;
	assert_int_equal(publish(&p), -FTD_E_permission);
	publish_done(&s, &p);
	assert_content("f", "one");
}

/* ---- many */

/* As many as a group holds, in more directories than are synced one by one, in the order of asking.
 */
static void
a_group(void **state)
{
	enum { N = 200, DIRECTORIES = 20 };
	static struct publish list[N];
	int results[N];
	char name[32];

	(void)state;
	for (int i = 0; i < DIRECTORIES; i++) {
		(void)snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(mkdirat(root, name, 0755), 0);
	}
	for (int i = 0; i < N; i++) {
		/* every tenth goes for the same name */
		(void)snprintf(name, sizeof(name), "d%d/%d", i % DIRECTORIES, i % 10 == 0 ? 0 : i);
		list[i] = content(name, name, i % 40 == 20 ? PUBLISH_FAIL : PUBLISH_REPLACE);
	}
	publish_all(&s, list, N, results);
	for (int i = 0; i < N; i++) {
		bool taken = i % 40 == 20;

		assert_int_equal(results[i], taken ? -FTD_E_exists : 0);
		publish_done(&s, &list[i]);
	}
	assert_content("d7/127", "d7/127");
}

static void
the_group_answers_in_order(void **state)
{
	struct publish p;
	const char *text;
	char answers[4096];
	ssize_t n;

	(void)state;
	for (int i = 0; i < 3; i++) {
		p = content(i == 1 ? "f" : "g", "x", PUBLISH_FAIL);
		p.id = json_integer(i);
		assert_int_equal(group_add(&s, &p), 0);
		publish_done(&s, &p);
	}
	assert_true(group_pending(&s));
	assert_true(group_wait_ms(&s) > 0 && group_wait_ms(&s) <= 50);
	assert_int_equal(faccessat(root, "f", F_OK, 0), -1); /* nothing is published before */
	assert_int_equal(group_flush(&s), 0);
	assert_false(group_pending(&s));
	assert_int_equal(group_wait_ms(&s), -1);
	assert_int_equal(conn_flush(&s), 0);
	n = read(alone_client, answers, sizeof(answers) - 1);
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++)
		if (answers[i] == '\0')
			answers[i] = ' ';
	answers[n] = '\0';
	text = strstr(answers, "\"id\":0");
	assert_non_null(text);
	text = strstr(text, "\"id\":1");
	assert_non_null(text);
	text = strstr(text, "exists");
	assert_non_null(text);
	assert_non_null(strstr(text, "\"id\":2"));
}

static void
the_group_goes_after_50_ms(void **state)
{
	struct publish p = content("a", "x", PUBLISH_REPLACE);

	(void)state;
	assert_int_equal(group_add(&s, &p), 0);
	(void)usleep(60000);
	assert_int_equal(group_wait_ms(&s), 0);
	p = content("b", "x", PUBLISH_REPLACE);
	assert_int_equal(group_add(&s, &p), 0);
	assert_false(group_pending(&s));
	assert_content("a", "x");
	assert_content("b", "x");
}

static void
without_sync(void **state)
{
	struct publish p;

	(void)state;
	p = content("f", "x", PUBLISH_REPLACE);
	assert_int_equal(publish(&p), 0);
	assert_told(&p, "durability", "none");
	assert_int_equal(s.touched, 1);
	publish_done(&s, &p);
	/* what a commit would not find is synced at once, and told so */
	assert_int_equal(mkdirat(root, "g", 02775), 0);
	assert_int_equal(fchmodat(root, "g", 02775, 0), 0);
	p = content("g/f", "x", PUBLISH_REPLACE);
	assert_int_equal(publish(&p), 0);
	assert_told(&p, "durability", "full");
	publish_done(&s, &p);
}

#define TEST(name, begin) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(replace, begin),
		TEST(refuse_if_taken, begin),
		TEST(keep_both, begin),
		TEST(if_match, begin),
		TEST(setgid_directory, begin),
		TEST(drop_box, begin_without_list),
		TEST(a_drop_box_is_never_full_of_a_name, begin_without_list),
		TEST(no_right_to_replace, begin),
		TEST(a_group, begin),
		TEST(the_group_answers_in_order, begin),
		TEST(the_group_goes_after_50_ms, begin),
		TEST(without_sync, begin_without_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
