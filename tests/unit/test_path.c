#include "lib/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static void
components(void **state)
{
	static const struct {
		const char *name;
		bool ok, visible;
	} rows[] = {
		{ "a", true, true },      { "...", true, true },   { ".hidden", true, true },
		{ "..a", true, true },    { "a..", true, true },   { " ", true, true },
		{ "\xff", true, true },   { "\n", true, true },    { "", false, false },
		{ ".", false, false },    { "..", false, false },  { "/", false, false },
		{ "a/b", false, false },  { ".ftd", true, false }, { ".ftd-12", true, false },
		{ ".ftdx", true, false }, { ".ft", true, true },   { "ftd", true, true },
		{ ".FTD", true, true },
	};
	char longest[PATH_COMPONENT_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].name);

		assert_int_equal(path_check_component(rows[i].name, len),
				 rows[i].ok ? 0 : -FTD_E_bad_name);
		assert_int_equal(path_check_visible(rows[i].name, len),
				 rows[i].visible ? 0 : -FTD_E_bad_name);
	}
	assert_int_equal(path_check_component("a\0b", 3), -FTD_E_bad_name);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(path_check_component(longest, PATH_COMPONENT_MAX), 0);
	assert_int_equal(path_check_component(longest, PATH_COMPONENT_MAX + 1), -FTD_E_bad_name);
	assert_true(path_is_reserved(".ftd", 4));
	assert_false(path_is_reserved(".ftd", 3));
}

static void
names_from_the_wire(void **state)
{
	static const struct {
		const char *name, *normal; /* NULL: refused */
	} rows[] = {
		{ "/", "" },
		{ "/a", "a" },
		{ "a", "a" },
		{ "/a/b/c", "a/b/c" },
		{ "a/b", "a/b" },
		{ "/.hidden/...", ".hidden/..." },
		{ "", NULL },
		{ "//", NULL },
		{ "//a", NULL },
		{ "/a/", NULL },
		{ "a/", NULL },
		{ "a//b", NULL },
		{ ".", NULL },
		{ "..", NULL },
		{ "/.", NULL },
		{ "/..", NULL },
		{ "../a", NULL },
		{ "/../a", NULL },
		{ "a/..", NULL },
		{ "a/../b", NULL },
		{ "a/./b", NULL },
		{ "/a/.", NULL },
		{ "/.ftd/staging/x", NULL },
		{ "a/.ftd-0123", NULL },
		{ "a/.ftd/b", NULL },
	};
	char dst[PATH_BYTES_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = path_from_wire(rows[i].name, strlen(rows[i].name), dst);

		if (rows[i].normal == NULL) {
			assert_int_equal(r, -FTD_E_bad_name);
		} else {
			assert_int_equal(r, strlen(rows[i].normal));
			assert_string_equal(dst, rows[i].normal);
		}
	}
	assert_int_equal(path_from_wire("a\0/b", 4, dst), -FTD_E_bad_name);
	assert_int_equal(path_from_wire("a/..", 3, dst), -FTD_E_bad_name);
	assert_int_equal(path_from_wire("ab/..", 2, dst), 2); /* never looks past len */
}

static void
lengths_from_the_wire(void **state)
{
	char name[PATH_BYTES_MAX + 2], dst[PATH_BYTES_MAX + 1];

	(void)state;
	memset(name, 'x', sizeof(name));
	for (size_t i = 0; i < sizeof(name); i += PATH_COMPONENT_MAX + 1)
		name[i] = '/';
	assert_int_equal(path_from_wire(name, PATH_BYTES_MAX, dst), PATH_BYTES_MAX - 1);
	assert_int_equal(strlen(dst), PATH_BYTES_MAX - 1);
	name[0] = 'x';
	assert_int_equal(path_from_wire(name, PATH_BYTES_MAX, dst), -FTD_E_bad_name); /* 256 x */
	name[0] = '/';
	assert_int_equal(path_from_wire(name, PATH_BYTES_MAX + 1, dst), -FTD_E_bad_name);
}

/* The tree: share/{a/b/file, fifo, in -> a, up -> .., out -> /etc, self -> self, gone -> none} */
static int share = -1;

static int
set_up(void **state)
{
	auto_close int top = scratch_make(), file = -1;

	(void)state;
	if (mkdirat(top, "share", 0755) < 0 || mkdirat(top, "outside", 0755) < 0)
		return -1;
	share = openat(top, "share", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (share < 0 || mkdirat(share, "a", 0755) < 0 || mkdirat(share, "a/b", 0755) < 0)
		return -1;
	file = openat(share, "a/b/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (file < 0 || mkfifoat(share, "fifo", 0600) < 0)
		return -1;
	if (symlinkat("a", share, "in") < 0 || symlinkat("../outside", share, "up") < 0 ||
	    symlinkat("/etc", share, "out") < 0 || symlinkat("self", share, "self") < 0 ||
	    symlinkat("none", share, "gone") < 0 || symlinkat("../in/b", share, "a/cross") < 0)
		return -1;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close_fd(&share);
	scratch_remove();
	return 0;
}

static void
opens_beneath(void **state)
{
	static const struct {
		const char *rel;
		int flags, strict, follow; /* 0 or what it fails with */
	} rows[] = {
		{ "", O_RDONLY | O_DIRECTORY, 0, 0 },
		{ "a/b", O_RDONLY | O_DIRECTORY, 0, 0 },
		{ "a/b/file", O_RDONLY, 0, 0 },
		{ "a/b/file", O_PATH, 0, 0 },
		{ "a/b/file", O_RDONLY | O_DIRECTORY, -ENOTDIR, -ENOTDIR },
		{ "a/b/file/x", O_RDONLY, -ENOTDIR, -ENOTDIR },
		{ "none", O_RDONLY, -ENOENT, -ENOENT },
		{ "fifo", O_RDONLY, 0, 0 }, /* and does not wait for a writer */
		{ "fifo", O_WRONLY, -ENXIO, -ENXIO },
		{ "in/b/file", O_RDONLY, -ELOOP, 0 },
		{ "in", O_RDONLY, -ELOOP, 0 },
		{ "a/cross/file", O_RDONLY, -ELOOP, 0 },
		{ "up", O_RDONLY, -ELOOP, -EXDEV },
		{ "up/x", O_RDONLY, -ELOOP, -EXDEV },
		{ "out/passwd", O_RDONLY, -ELOOP, -EXDEV },
		{ "self", O_RDONLY, -ELOOP, -ELOOP },
		{ "gone", O_RDONLY, -ELOOP, -ENOENT },
		{ "../outside", O_RDONLY, -EXDEV, -EXDEV },
		{ "a/../../outside", O_RDONLY, -EXDEV, -EXDEV },
		{ "/etc", O_RDONLY, -EXDEV, -EXDEV },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_close int strict = path_open(share, rows[i].rel, rows[i].flags, 0, false);
		auto_close int follow = path_open(share, rows[i].rel, rows[i].flags, 0, true);

		assert_int_equal(strict < 0 ? strict : 0, rows[i].strict);
		assert_int_equal(follow < 0 ? follow : 0, rows[i].follow);
		if (strict >= 0)
			assert_int_equal(fcntl(strict, F_GETFD), FD_CLOEXEC);
	}
}

static void
magic_links_are_refused(void **state)
{
	auto_close int proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[12];

	(void)state;
	(void)snprintf(name, sizeof(name), "%d", share);
	assert_int_equal(path_open(proc, name, O_RDONLY, 0, true), -ELOOP);
}

static void
creates_with_the_mode(void **state)
{
	auto_close int fd = path_open(share, "a/new", O_CREAT | O_EXCL | O_WRONLY, 0640, false);
	auto_close int unnamed = path_open(share, "a", O_TMPFILE | O_RDWR, 0600, false);
	struct stat st;

	(void)state;
	assert_true(fd >= 0 && unnamed >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(path_open(share, "a/new", O_CREAT | O_EXCL | O_WRONLY, 0640, false),
			 -EEXIST);
	assert_int_equal(path_open(share, "gone", O_CREAT | O_WRONLY, 0640, false), -ELOOP);
	assert_int_equal(path_open(share, "up/x", O_CREAT | O_WRONLY, 0640, true), -EXDEV);
}

static void
parents_are_held_by_descriptor(void **state)
{
	const char *leaf = NULL;
	struct stat st;
	int fd;

	(void)state;
	fd = path_open_parent(share, "a/b/file", false, &leaf);
	assert_true(fd >= 0);
	assert_string_equal(leaf, "file");
	assert_int_equal(fstatat(fd, leaf, &st, 0), 0);
	assert_int_equal(fsync(fd), 0);
	close_fd(&fd);
	fd = path_open_parent(share, "gone", false, &leaf); /* the leaf itself is not looked at */
	assert_true(fd >= 0);
	assert_string_equal(leaf, "gone");
	close_fd(&fd);
	leaf = NULL;
	assert_int_equal(path_open_parent(share, "", false, &leaf), -EINVAL);
	assert_int_equal(path_open_parent(share, "in/x", false, &leaf), -ELOOP);
	assert_int_equal(path_open_parent(share, "up/x", true, &leaf), -EXDEV);
	assert_int_equal(path_open_parent(share, "a/b/file/x", false, &leaf), -ENOTDIR);
	assert_int_equal(path_open_parent(share, "none/x", false, &leaf), -ENOENT);
	assert_null(leaf);
	fd = path_open_parent(share, "in/x", true, &leaf);
	assert_true(fd >= 0);
	close_fd(&fd);
}

/* Counts the calls; every descriptor must be a directory that can be synced. */
static int
count_created(void *userdata, int parent_fd)
{
	int *calls = userdata;

	assert_int_equal(fsync(parent_fd), 0);
	return ++*calls > 5 ? -ECANCELED : 0;
}

static void
makes_what_is_missing(void **state)
{
	int calls = 0, fd;
	const struct path_maker maker = { .made = count_created, .userdata = &calls };
	struct stat st;
	mode_t mask = umask(027);

	(void)state;
	fd = path_make_parents(share, "a/x/y/z", false, &maker);
	assert_true(fd >= 0);
	assert_int_equal(calls, 3);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	close_fd(&fd);
	fd = path_make_parents(share, "a/x/y/z", false, &maker);
	assert_true(fd >= 0);
	assert_int_equal(calls, 3);
	close_fd(&fd);
	fd = path_make_parents(share, "", false, NULL);
	assert_true(fd >= 0);
	close_fd(&fd);
	fd = path_make_parents(share, "in/b/c", true, NULL);
	assert_true(fd >= 0);
	assert_int_equal(fstatat(share, "a/b/c", &st, 0), 0);
	close_fd(&fd);
	(void)umask(mask);
}

static int
may_not_make_y(void *userdata, const char *rel)
{
	(void)userdata;
	return strcmp(rel, "m/x/y") == 0 ? -EACCES : 0;
}

static void
makes_only_what_may_be(void **state)
{
	int calls = 0;
	const struct path_maker maker = { may_not_make_y, count_created, &calls };
	struct stat st;

	(void)state;
	assert_int_equal(path_make_parents(share, "m/x/y/z", false, &maker), -EACCES);
	assert_int_equal(calls, 2);
	assert_int_equal(fstatat(share, "m/x", &st, 0), 0);
	assert_int_equal(fstatat(share, "m/x/y", &st, 0), -1);
}

static void
makes_nothing_outside(void **state)
{
	int calls = 0;
	const struct path_maker maker = { .made = count_created, .userdata = &calls };
	struct stat st;

	(void)state;
	assert_int_equal(path_make_parents(share, "in/new", false, NULL), -ELOOP);
	assert_int_equal(path_make_parents(share, "up/new", true, NULL), -EXDEV);
	assert_int_equal(path_make_parents(share, "a/b/file/new", false, NULL), -ENOTDIR);
	assert_int_equal(path_make_parents(share, "gone/new", false, NULL), -ELOOP);
	assert_int_equal(path_make_parents(share, "gone/new", true, NULL), -ENOENT);
	assert_int_equal(fstatat(share, "../outside/new", &st, 0), -1);
	assert_int_equal(path_make_parents(share, "1/2/3/4/5/6/7", false, &maker), -ECANCELED);
	assert_int_equal(calls, 6);
	assert_int_equal(fstatat(share, "1/2/3/4/5/6/7", &st, 0), -1);
}

/* As deep as a name can be, and no deeper than the kernel takes. */
static void
deep_names(void **state)
{
	char rel[PATH_BYTES_MAX + 2];
	const char *leaf;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(rel); i++)
		rel[i] = i % 32 == 31 ? '/' : 'd';
	rel[2046] = '\0';
	fd = path_make_parents(share, rel, false, NULL);
	assert_true(fd >= 0);
	close_fd(&fd);
	rel[2046] = 'd';
	rel[sizeof(rel) - 1] = '\0';
	rel[PATH_BYTES_MAX] = 'd';
	assert_int_equal(path_make_parents(share, rel, false, NULL), -ENAMETOOLONG);
	memset(rel, 'd', 400);
	rel[300] = '\0';
	assert_int_equal(path_make_parents(share, rel, false, NULL), -ENAMETOOLONG);
	assert_int_equal(path_open(share, rel, O_RDONLY, 0, false), -ENAMETOOLONG);
	fd = path_open_parent(share, rel, false, &leaf);
	assert_true(fd >= 0);
	close_fd(&fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(components),
		cmocka_unit_test(names_from_the_wire),
		cmocka_unit_test(lengths_from_the_wire),
		TEST(opens_beneath),
		TEST(magic_links_are_refused),
		TEST(creates_with_the_mode),
		TEST(parents_are_held_by_descriptor),
		TEST(makes_what_is_missing),
		TEST(makes_only_what_may_be),
		TEST(makes_nothing_outside),
		TEST(deep_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
