/* What a client changes by name: mkdir, remove, rename, copy, set. */
#include "daemon/session/session.h"

#include <errno.h>
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
put_content(const char *name, const void *content, size_t len, off_t at)
{
	auto_close int fd = openat(root, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_full(fd, content, len, at), 0);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdirat(root, name, 0755), 0);
}

static struct stat
stat_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
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
ask_to(struct host *h, const char *opt, const char *name, const char *to, const char *if_exists)
{
	put(h, json_pack("{s:s, s:s, s:s, s:s*}", "opt", opt, "filename", name, "to", to,
			 "if_exists", if_exists));
}

/* An ok whose entry has this name and type. */
static void
expect_entry(struct host *h, const char *name, const char *type)
{
	auto_json json_t *frame = get(h);

	assert_text(frame, "status", "ok");
	assert_text(frame, "name", name);
	assert_text(frame, "type", type);
}

/* "exists" with the entry that is in the way. */
static void
expect_taken(struct host *h, const char *name)
{
	auto_json json_t *frame = get(h);

	assert_text(frame, "code", "exists");
	assert_text(json_object_get(frame, "current"), "name", name);
}

static void
directories_are_made(void **state)
{
	struct host h;

	(void)state;
	make_file("file", "x");
	host_start(&h, HOST_SANDBOX, "", "");
	ask(&h, "mkdir", "/d");
	expect_entry(&h, "d", "dir");
	ask(&h, "mkdir", "/d");
	expect_taken(&h, "d");
	ask(&h, "mkdir", "/file");
	expect_taken(&h, "file");
	ask(&h, "mkdir", "/x/y");
	expect_code(&h, "not_found");
	ask_flag(&h, "mkdir", "/x/y/z", "parents");
	expect_entry(&h, "z", "dir");
	ask_flag(&h, "mkdir", "/x/y/z", "parents");
	expect_entry(&h, "z", "dir");
	ask_flag(&h, "mkdir", "/file/z", "parents");
	expect_code(&h, "not_a_directory");
	ask(&h, "mkdir", "/");
	expect_code(&h, "exists");
	ask_flag(&h, "mkdir", "/", "parents");
	expect_status(&h, "ok");
	ask(&h, "mkdir", "/.ftd-x");
	expect_code(&h, "bad_name");
	assert_true(S_ISDIR(stat_of("x/y/z").st_mode));
	host_end(&h);
}

static void
files_links_and_empty_directories_are_removed(void **state)
{
	struct host h;

	(void)state;
	make_file("file", "x");
	make_file("kept", "x");
	make_dir("d");
	make_dir("full");
	make_file("full/x", "x");
	assert_int_equal(symlinkat("kept", root, "link"), 0);
	host_start(&h, HOST_SANDBOX, "", "");
	ask(&h, "remove", "/file");
	expect_entry(&h, "file", "file");
	ask(&h, "remove", "/link");
	expect_entry(&h, "link", "link");
	ask(&h, "remove", "/d");
	expect_entry(&h, "d", "dir");
	ask(&h, "remove", "/full");
	expect_code(&h, "not_empty");
	ask(&h, "remove", "/none");
	expect_code(&h, "not_found");
	ask_flag(&h, "remove", "/", "recursive");
	expect_code(&h, "permission");
	assert_missing("file");
	assert_missing("link");
	assert_missing("d");
	assert_content("kept", "x", 1);
	host_end(&h);
}

static void
a_tree_is_removed_and_nothing_outside_it(void **state)
{
	struct host h;

	(void)state;
	make_dir("out");
	make_file("out/kept", "x");
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/b");
	make_file("t/a/b/x", "x");
	make_file("t/\xff", "x");
	assert_int_equal(symlinkat("../out", root, "t/link"), 0);
	host_start(&h, HOST_SANDBOX | HOST_HELLO, "", "");
	ask_flag(&h, "remove", "/t", "recursive");
	expect_entry(&h, "t", "dir");
	assert_missing("t");
	assert_content("out/kept", "x", 1);
	ask_flag(&h, "remove", "/out/kept", "recursive");
	expect_entry(&h, "kept", "file");
	host_end(&h);
}

static void
what_cannot_be_removed_is_named(void **state)
{
	struct host h;
	json_t *frame;

	(void)state;
	make_dir("t");
	make_dir("t/fixed");
	make_file("t/fixed/x", "x");
	assert_int_equal(fchmodat(root, "t/fixed", 0555, 0), 0);
	make_dir("shut");
	make_dir("shut/in");
	assert_int_equal(fchmodat(root, "shut/in", 0, 0), 0);
	host_start(&h, 0, "", "");
	ask_flag(&h, "remove", "/t", "recursive");
	frame = get(&h);
	assert_text(frame, "code", "permission");
	assert_text(frame, "name", "fixed/x");
	json_decref(frame);
	ask_flag(&h, "remove", "/shut", "recursive"); /* unreadable, but empty */
	expect_entry(&h, "shut", "dir");
	host_end(&h);
	assert_int_equal(fchmodat(root, "t/fixed", 0755, 0), 0);
}

static void
uploads_under_way_keep_their_directory(void **state)
{
	struct host h;

	(void)state;
	make_dir("d");
	make_file("d/.ftd-0123", "part");
	make_file("d/x", "x");
	host_start(&h, 0, "", "");
	ask(&h, "remove", "/d");
	expect_code(&h, "not_empty");
	ask_flag(&h, "remove", "/d", "recursive");
	expect_code(&h, "busy");
	assert_missing("d/x");
	assert_content("d/.ftd-0123", "part", 4);
	host_end(&h);
}

static void
a_removal_that_takes_long_can_be_cancelled(void **state)
{
	struct host h;
	char name[64];

	(void)state;
	make_dir("t");
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "t/%u", i);
		make_dir(name);
	}
	host_start(&h, 0, "", "");
	put(&h, json_pack("{s:s, s:s, s:b, s:i}", "opt", "remove", "filename", "/t", "recursive", 1,
			  "id", 1));
	put(&h, json_pack("{s:s, s:i}", "opt", "cancel", "id", 2));
	expect_code(&h, "cancelled");
	expect_status(&h, "ok");
	assert_true(S_ISDIR(stat_of("t").st_mode));
	expect_ping(&h);
	host_end(&h);
}

static void
names_are_changed(void **state)
{
	struct host h;

	(void)state;
	make_file("one", "1");
	make_file("two", "2");
	make_dir("d");
	make_dir("d/e");
	make_dir("full");
	make_file("full/x", "x");
	assert_int_equal(symlinkat("nowhere", root, "link"), 0);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	host_start(&h, HOST_SANDBOX, "", "");
	ask_to(&h, "rename", "/one", "/two", NULL);
	expect_taken(&h, "two");
	ask_to(&h, "rename", "/one", "/two", "keep_both");
	expect_entry(&h, "two (2)", "file");
	assert_content("two (2)", "1", 1);
	ask_to(&h, "rename", "/two (2)", "/d/uno.tar", "fail");
	expect_entry(&h, "uno.tar", "file");
	ask_to(&h, "rename", "/d/uno.tar", "/two", "replace");
	expect_entry(&h, "two", "file");
	assert_content("two", "1", 1);
	ask_to(&h, "rename", "/d", "/d/e/f", NULL);
	expect_code(&h, "bad_request");
	ask_to(&h, "rename", "/d", "/full", "replace");
	expect_code(&h, "not_empty");
	ask_to(&h, "rename", "/two", "/full", "replace");
	expect_code(&h, "not_a_file");
	ask_to(&h, "rename", "/d", "/g", NULL);
	expect_entry(&h, "g", "dir");
	ask_to(&h, "rename", "/link", "/g/link", NULL);
	expect_entry(&h, "link", "link");
	ask_to(&h, "rename", "/fifo", "/g/fifo", NULL);
	expect_entry(&h, "fifo", "other");
	ask_to(&h, "rename", "/none", "/h", NULL);
	expect_code(&h, "not_found");
	ask_to(&h, "rename", "/two", "/none/two", NULL);
	expect_code(&h, "not_found");
	ask_to(&h, "rename", "/", "/h", NULL);
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/two", "/", NULL);
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/two", "/two", "never");
	expect_code(&h, "bad_request");
	host_end(&h);
}

static void
kept_names_stay_valid(void **state)
{
	char name[PATH_COMPONENT_MAX + 1] = "", wire[PATH_COMPONENT_MAX + 2];
	struct host h;

	(void)state;
	memset(name, 'n', PATH_COMPONENT_MAX);
	(void)memcpy(name + PATH_COMPONENT_MAX - 4, ".iso", 4);
	(void)snprintf(wire, sizeof(wire), "/%s", name);
	make_file(name, "old");
	make_file("new", "new");
	host_start(&h, 0, "", "");
	ask_to(&h, "copy", "/new", wire, "keep_both");
	(void)memcpy(name + PATH_COMPONENT_MAX - 8, " (2).iso", 8);
	expect_entry(&h, name, "file");
	assert_content(name, "new", 3);
	host_end(&h);
}

static void
replacing_takes_the_right_to(void **state)
{
	struct host h;

	(void)state;
	make_file("one", "1");
	make_file("two", "2");
	host_start(&h, 0, "rights = \"read,list,create,delete,mkdir,rename\";", "");
	ask_to(&h, "rename", "/one", "/two", "replace");
	expect_code(&h, "permission");
	ask_to(&h, "copy", "/one", "/two", "replace");
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/one", "/three", "replace");
	expect_entry(&h, "three", "file");
	assert_content("two", "2", 1);
	ask(&h, "set", "/two");
	expect_code(&h, "permission");
	host_end(&h);
}

static void
times_and_modes_are_set(void **state)
{
	struct host h;

	(void)state;
	make_file("f", "x");
	make_dir("d");
	assert_int_equal(fchmodat(root, "d", 02755, 0), 0);
	assert_int_equal(symlinkat("f", root, "link"), 0);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	make_file("written", "x");
	assert_int_equal(fchmodat(root, "written", 0200, 0), 0);
	host_start(&h, HOST_SANDBOX, "", "");
	put(&h, json_pack("{s:s, s:s, s:I, s:i}", "opt", "set", "filename", "/f", "mtime_ns",
			  (json_int_t)-1, "mode", 04600));
	auto_json json_t *frame = get(&h);

	assert_int_equal(json_integer_value(json_object_get(frame, "mtime_ns")), -1);
	assert_int_equal(json_integer_value(json_object_get(frame, "mode")), 0600);
	assert_int_equal(stat_of("f").st_mode, S_IFREG | 0600);
	assert_int_equal(stat_of("f").st_mtim.tv_sec, -1);
	assert_int_equal(stat_of("f").st_mtim.tv_nsec, 999999999);
	put(&h, json_pack("{s:s, s:s, s:I, s:i}", "opt", "set", "filename", "/d", "mtime_ns",
			  (json_int_t)1500000000000000000, "mode", 0700));
	expect_entry(&h, "d", "dir");
	assert_int_equal(stat_of("d").st_mode & 0777, 0700);
	assert_int_equal(stat_of("d").st_mtim.tv_sec, 1500000000);
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "set", "filename", "/written", "mode", 0644));
	expect_entry(&h, "written", "file");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "set", "filename", "/link", "mode", 0644));
	expect_code(&h, "link_refused");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "set", "filename", "/fifo", "mode", 0644));
	expect_code(&h, "not_a_file");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "set", "filename", "/", "mode", 0));
	expect_code(&h, "permission");
	put(&h, json_pack("{s:s, s:s, s:i}", "opt", "set", "filename", "/f", "mode", 0170000));
	expect_code(&h, "bad_request");
	host_end(&h);
}

static void
a_copy_is_a_file_of_its_own(void **state)
{
	const size_t size = 300000;
	auto_free uint8_t *body = random_bytes(size);
	struct host h;

	(void)state;
	put_content("f", body, size, 0);
	assert_int_equal(fchmodat(root, "f", 0640, 0), 0);
	make_dir("d");
	host_start(&h, HOST_SANDBOX | HOST_HELLO, "", "");
	ask_to(&h, "copy", "/f", "/d/g", NULL);
	expect_entry(&h, "g", "file");
	assert_content("d/g", body, size);
	assert_int_equal(stat_of("d/g").st_mode, S_IFREG | 0640);
	assert_true(stat_of("d/g").st_ino != stat_of("f").st_ino);
	ask_to(&h, "copy", "/f", "/d/g", NULL);
	expect_taken(&h, "g");
	make_file("small", "s");
	ask_to(&h, "copy", "/small", "/d/g", "replace");
	expect_entry(&h, "g", "file");
	assert_content("d/g", "s", 1);
	ask_to(&h, "copy", "/small", "/small", "keep_both");
	expect_entry(&h, "small (2)", "file");
	ask_to(&h, "copy", "/d", "/e", NULL);
	expect_code(&h, "not_a_file");
	ask_to(&h, "copy", "/none", "/e", NULL);
	expect_code(&h, "not_found");
	ask_to(&h, "copy", "/small", "/none/e", NULL);
	expect_code(&h, "not_found");
	ask_to(&h, "copy", "/small", "/d", "replace");
	expect_code(&h, "not_a_file");
	assert_no_orphan();
	assert_int_equal(h.report->downloads + h.report->uploads, 0);
	assert_int_equal(h.report->bytes_out, 0);
	host_end(&h);
}

static void
holes_stay_holes_in_a_copy(void **state)
{
	struct host h;

	(void)state;
	put_content("f", "begin", 5, 0);
	put_content("f", "middle", 6, 1 << 30);
	auto_close int fd = openat(root, "f", O_WRONLY | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, INT64_C(3) << 30), 0);
	host_start(&h, 0, "", "");
	ask_to(&h, "copy", "/f", "/g", NULL);
	expect_entry(&h, "g", "file");
	assert_int_equal(stat_of("g").st_size, INT64_C(3) << 30);
	assert_true(stat_of("g").st_blocks * 512 < 1 << 20);
	auto_close int copy = openat(root, "g", O_RDONLY | O_CLOEXEC);
	char middle[6];

	assert_int_equal(pread(copy, middle, 6, 1 << 30), 6);
	assert_memory_equal(middle, "middle", 6);
	host_end(&h);
}

static void
a_copy_that_is_cancelled_leaves_nothing(void **state)
{
	struct host h;

	(void)state;
	make_file("f", "x");
	host_start(&h, 0, "", "");
	host_cancel(&h, 1);
	ask_to(&h, "copy", "/f", "/g", NULL);
	expect_code(&h, "cancelled");
	assert_missing("g");
	assert_no_orphan();
	host_cancel(&h, 0);
	ask_to(&h, "copy", "/f", "/g", NULL);
	expect_entry(&h, "g", "file");
	host_end(&h);
}

static void
shares_hold_what_is_theirs(void **state)
{
	auto_free char *shares = NULL;
	struct host h;

	(void)state;
	make_dir("d");
	make_dir("d/inner");
	make_file("d/inner/x", "x");
	make_dir("d/secret");
	make_file("f", "x");
	make_dir("e");
	make_dir("e/secret");
	assert_true(
	    asprintf(&shares,
		     "rights = \"full\"; }, "
		     "{ path = \"/d/inner\"; root = \"%s/d/inner\"; anonymous = \"anywhere\"; "
		     "rights = \"full\"; }, "
		     "{ path = \"/e/secret\"; root = \"%s/e/secret\"; anonymous = \"never\"; ",
		     scratch_path(), scratch_path()) > 0);
	host_start(&h, HOST_SANDBOX, shares, "");
	ask_flag(&h, "remove", "/d", "recursive");
	expect_code(&h, "permission");
	ask_flag(&h, "remove", "/d/inner", "recursive");
	expect_code(&h, "permission");
	ask_flag(&h, "remove", "/e", "recursive");
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/d", "/g", NULL);
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/e", "/g", NULL);
	expect_code(&h, "permission");
	ask_to(&h, "rename", "/f", "/d/inner/f", NULL);
	expect_code(&h, "unsupported");
	ask_to(&h, "copy", "/f", "/d/inner/f", NULL);
	expect_entry(&h, "f", "file");
	assert_content("d/inner/f", "x", 1);
	ask(&h, "mkdir", "/d/inner");
	expect_code(&h, "exists");
	ask(&h, "mkdir", "/e/secret/x");
	expect_code(&h, "not_found");
	host_end(&h);
}

static void
expect_nothing_told(struct host *h)
{
	auto_json json_t *frame = get(h);

	assert_text(frame, "status", "ok");
	assert_int_equal(json_object_size(frame), 1);
}

static void
without_the_right_to_list_nothing_is_told(void **state)
{
	static const char *const missing[] = { "/none", "/d/none", "/link/x" };
	struct host h;

	(void)state;
	make_file("f", "abc");
	make_dir("d");
	make_file("d/x", "x");
	assert_int_equal(symlinkat("d", root, "link"), 0);
	host_start(&h, 0, "rights = \"create,delete,mkdir,rename\";", "");
	ask(&h, "remove", "/none");
	expect_code(&h, "permission");
	ask(&h, "remove", "/d");
	expect_code(&h, "permission");
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		ask_to(&h, "rename", missing[i], "/f", NULL);
		expect_code(&h, "permission");
	}
	ask(&h, "mkdir", "/d");
	expect_nothing_told(&h);
	ask(&h, "mkdir", "/new");
	expect_nothing_told(&h);
	ask_flag(&h, "mkdir", "/d", "parents");
	expect_nothing_told(&h);
	ask_to(&h, "rename", "/d", "/f", NULL); /* taken: it gets another name */
	expect_nothing_told(&h);
	assert_content("f", "abc", 3);
	assert_content("f (2)/x", "x", 1);
	host_end(&h);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, talk_make_root, talk_remove_root)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(directories_are_made),
		CASE(files_links_and_empty_directories_are_removed),
		CASE(a_tree_is_removed_and_nothing_outside_it),
		CASE(what_cannot_be_removed_is_named),
		CASE(uploads_under_way_keep_their_directory),
		CASE(a_removal_that_takes_long_can_be_cancelled),
		CASE(names_are_changed),
		CASE(kept_names_stay_valid),
		CASE(replacing_takes_the_right_to),
		CASE(times_and_modes_are_set),
		CASE(a_copy_is_a_file_of_its_own),
		CASE(holes_stay_holes_in_a_copy),
		CASE(a_copy_that_is_cancelled_leaves_nothing),
		CASE(shares_hold_what_is_theirs),
		CASE(without_the_right_to_list_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, nobody_become, NULL);
}
