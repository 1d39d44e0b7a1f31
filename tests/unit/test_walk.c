/* daemon/common/walk.c: every name once, none invented, nothing outside. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/walk.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/path.h"
#include "lib/text.h"
#include "tests/unit/unit.h"

static int base; /* a directory of our own, emptied by each test */
static char base_name[] = "/tmp/ftd-walk-XXXXXX";

/* Permissions mean nothing to root. */
static int
group_setup(void **state)
{
	(void)state;
	if (mkdtemp(base_name) == NULL)
		return -1;
	if (geteuid() == 0 && (chown(base_name, 65534, 65534) < 0 || seteuid(65534) < 0))
		return -1;
	base = open(base_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base < 0 ? -1 : 0;
}

static struct walk *
walk_base(unsigned flags)
{
	struct walk *w = NULL;
	int fd = open(base_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(walk_new(fd, flags, &w), 0);
	return w;
}

static int
empty(void **state)
{
	struct walk *w = walk_base(WALK_RECURSIVE | WALK_POST);
	struct walk_item item;

	(void)state;
	while (walk_next(w, &item) == 1)
		(void)unlinkat(item.dir, item.leaf, item.leaving ? AT_REMOVEDIR : 0);
	(void)unlinkat(base, ".ftd-own", 0);
	walk_free(w);
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	close_fd(&base);
	if (getuid() == 0 && seteuid(0) < 0)
		return -1;
	return rmdir(base_name);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdirat(base, name, 0755), 0);
}

static void
make_file(const char *name)
{
	auto_close int fd = openat(base, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
}

static void
make_tree(void)
{
	make_dir("a");
	make_dir("a/b");
	make_dir("empty");
	make_file("a/b/one");
	make_file("a/two");
	make_file("three");
	make_file(".ftd-own");
	assert_int_equal(symlinkat("..", base, "a/loop"), 0);
	assert_int_equal(symlinkat("a", base, "link"), 0);
	assert_int_equal(mkfifoat(base, "fifo", 0600), 0);
}

/* How often text is a line of list. */
static unsigned
times(const char *list, const char *text)
{
	char line[PATH_MAX];
	unsigned n = 0;

	(void)snprintf(line, sizeof(line), "\n%s\n", text);
	for (const char *at = strstr(list, line); at != NULL; at = strstr(at + 1, line))
		n++;
	return n;
}

/* All paths, each in a line, a leaving one with '-' before it. */
static unsigned
collect(struct walk *w, char *list, size_t size)
{
	struct walk_item item;
	size_t used = 1;
	unsigned n = 0;

	(void)snprintf(list, size, "\n");
	while (walk_next(w, &item) == 1) {
		int len = snprintf(list + used, size - used, "%s%s\n", item.leaving ? "-" : "",
				   item.path);

		assert_true(len > 0 && (size_t)len < size - used);
		assert_int_equal(strlen(item.path), item.path_len);
		assert_string_equal(item.path + item.path_len - strlen(item.leaf), item.leaf);
		used += (size_t)len;
		n++;
	}
	return n;
}

static void
shows_one_level(void **state)
{
	struct walk *w;
	char list[4096];

	(void)state;
	make_tree();
	w = walk_base(0);
	assert_int_equal(collect(w, list, sizeof(list)), 5);
	assert_int_equal(times(list, "a"), 1);
	assert_int_equal(times(list, "fifo"), 1);
	assert_int_equal(times(list, ".ftd-own"), 0);
	walk_free(w);
}

static void
shows_directories_before_their_content_and_follows_no_link(void **state)
{
	struct walk *w;
	char list[4096];

	(void)state;
	make_tree();
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(collect(w, list, sizeof(list)), 9);
	assert_int_equal(times(list, "a/b/one"), 1);
	assert_int_equal(times(list, "a/loop"), 1);
	assert_true(strstr(list, "\na\n") < strstr(list, "\na/b\n"));
	assert_true(strstr(list, "\na/b\n") < strstr(list, "\na/b/one\n"));
	walk_free(w);
}

static void
leaves_directories_after_their_content(void **state)
{
	struct walk *w;
	char list[4096];

	(void)state;
	make_tree();
	w = walk_base(WALK_RECURSIVE | WALK_POST);
	assert_int_equal(collect(w, list, sizeof(list)), 12);
	assert_true(strstr(list, "\na/b/one\n") < strstr(list, "\n-a/b\n"));
	assert_true(strstr(list, "\na/two\n") < strstr(list, "\n-a\n"));
	assert_int_equal(times(list, "-empty"), 1);
	walk_free(w);
}

static void
skips_what_the_caller_skips(void **state)
{
	struct walk *w;
	struct walk_item item;
	unsigned n = 0;

	(void)state;
	make_tree();
	w = walk_base(WALK_RECURSIVE);
	while (walk_next(w, &item) == 1) {
		assert_null(memchr(item.path, '/', item.path_len));
		walk_skip(w);
		walk_skip(w); /* twice is once */
		n++;
	}
	assert_int_equal(n, 5);
	walk_free(w);
}

static void
tells_what_cannot_be_read_and_goes_on(void **state)
{
	struct walk *w;
	struct walk_item item;
	unsigned errors = 0, n = 0;

	(void)state;
	make_tree();
	assert_int_equal(fchmodat(base, "a/b", 0, 0), 0);
	w = walk_base(WALK_RECURSIVE);
	while (walk_next(w, &item) == 1) {
		n++;
		if (item.error == 0)
			continue;
		assert_string_equal(item.path, "a/b");
		assert_int_equal(item.error, -EACCES);
		errors++;
	}
	assert_int_equal(errors, 1);
	assert_int_equal(n, 8);
	walk_free(w);
	assert_int_equal(fchmodat(base, "a/b", 0755, 0), 0);
}

static void
leaves_out_a_directory_that_vanished(void **state)
{
	struct walk *w;
	struct walk_item item;
	char list[4096];

	(void)state;
	make_dir("x");
	make_dir("y");
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(walk_next(w, &item), 1);
	assert_int_equal(unlinkat(base, strcmp(item.leaf, "x") == 0 ? "y" : "x", AT_REMOVEDIR), 0);
	assert_int_equal(collect(w, list, sizeof(list)), 0);
	walk_free(w);
}

static void
does_not_enter_a_directory_that_became_a_link(void **state)
{
	struct walk *w;
	struct walk_item item;
	const char *other;

	(void)state;
	make_dir("x");
	make_dir("y");
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(walk_next(w, &item), 1);
	other = strcmp(item.leaf, "x") == 0 ? "y" : "x";
	assert_int_equal(unlinkat(base, other, AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc", base, other), 0);
	assert_int_equal(walk_next(w, &item), 1);
	assert_string_equal(item.path, other);
	assert_int_equal(item.error, 0);
	assert_int_equal(walk_next(w, &item), 0);
	walk_free(w);
}

/* A chain of n directories with names of len bytes beneath base. */
static void
make_chain(unsigned n, unsigned len)
{
	char name[PATH_COMPONENT_MAX + 1] = "";
	int fd = dup(base), next;

	memset(name, 'd', len);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close_fd(&fd);
		fd = next;
	}
	close_fd(&fd);
}

static void
goes_deep(void **state)
{
	struct walk *w;
	struct walk_item item;
	unsigned n = 0;

	(void)state;
	make_chain(400, 1);
	w = walk_base(WALK_RECURSIVE);
	while (walk_next(w, &item) == 1)
		assert_int_equal(item.error, 0), n++;
	assert_int_equal(n, 400);
	walk_free(w);
}

static void
tells_a_path_that_is_too_long_and_does_not_enter_it(void **state)
{
	struct walk *w;
	struct walk_item item;
	unsigned n = 0, errors = 0;

	(void)state;
	make_chain(18, 255);
	w = walk_base(WALK_RECURSIVE);
	while (walk_next(w, &item) == 1) {
		n++;
		if (item.error == 0)
			continue;
		assert_int_equal(item.error, -ENAMETOOLONG);
		assert_int_equal(item.path_len, 17 * 256 - 1);
		errors++;
	}
	assert_int_equal(errors, 1);
	assert_int_equal(n, 17); /* 16 that fit (4,095 bytes), one that does not */
	walk_free(w);
}

/* The last two are beyond what a walk shows: taken away by hand. */
static int
empty_long_chain(void **state)
{
	char name[PATH_COMPONENT_MAX + 1] = "";
	int dirs[19] = { dup(base) };

	memset(name, 'd', 255);
	for (int i = 1; i < 19; i++)
		dirs[i] = openat(dirs[i - 1], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 18; i > 0; i--)
		(void)unlinkat(dirs[i - 1], name, AT_REMOVEDIR);
	for (int i = 0; i < 19; i++)
		close_fd(&dirs[i]);
	return empty(state);
}

static void
make_many(unsigned n)
{
	char name[32];

	make_dir("many");
	make_file("before");
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "many/%05u", i);
		make_file(name);
	}
}

static void
shows_each_of_many_once_across_cursors(void **state)
{
	enum { N = 5000 };
	static uint8_t seen[N];
	unsigned shown = 0, walks = 0;
	char *cursor = NULL;
	struct walk_item item;
	int r;

	(void)state;
	make_many(N);
	memset(seen, 0, sizeof(seen));
	do {
		struct walk *w = walk_base(WALK_RECURSIVE);

		if (cursor != NULL)
			assert_int_equal(walk_seek(w, cursor), 0);
		free(take_ptr(cursor));
		walks++;
		for (int i = 0; (r = walk_next(w, &item)) == 1; i++) {
			unsigned at = 0;

			if (sscanf(item.path, "many/%u", &at) == 1)
				seen[at]++;
			shown++;
			if (i == 333)
				break;
		}
		if (r == 1)
			assert_int_equal(walk_cursor(w, &cursor), 0);
		walk_free(w);
	} while (r == 1);
	assert_int_equal(shown, N + 2);
	assert_int_equal(walks, (N + 2) / 334 + 1);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(seen[i], 1);
}

static void
resumes_from_every_place(void **state)
{
	char whole[4096], part[4096];
	struct walk_item item;

	(void)state;
	make_tree();
	for (unsigned at = 1; at <= 9; at++) {
		struct walk *w = walk_base(WALK_RECURSIVE), *again = walk_base(WALK_RECURSIVE);
		auto_free char *cursor = NULL;

		for (unsigned i = 0; i < at; i++)
			assert_int_equal(walk_next(w, &item), 1);
		assert_int_equal(walk_cursor(w, &cursor), 0);
		assert_int_equal(collect(w, whole, sizeof(whole)), 9 - at);
		assert_int_equal(walk_seek(again, cursor), 0);
		assert_int_equal(collect(again, part, sizeof(part)), 9 - at);
		assert_string_equal(whole, part);
		walk_free(w);
		walk_free(again);
	}
}

static void
goes_on_above_a_directory_that_vanished_since_the_cursor(void **state)
{
	auto_free char *cursor = NULL;
	struct walk *w;
	struct walk_item item;
	char list[4096];
	unsigned n = 1;

	(void)state;
	make_dir("gone");
	make_file("gone/x");
	make_file("stays");
	w = walk_base(WALK_RECURSIVE);
	while (walk_next(w, &item) == 1 && strcmp(item.path, "gone/x") != 0)
		n++;
	assert_int_equal(walk_cursor(w, &cursor), 0);
	walk_free(w);
	assert_int_equal(unlinkat(base, "gone/x", 0), 0);
	assert_int_equal(unlinkat(base, "gone", AT_REMOVEDIR), 0);
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(walk_seek(w, cursor), 0);
	assert_int_equal(collect(w, list, sizeof(list)), 3 - n);
	walk_free(w);
}

static void
refuses_hostile_cursors(void **state)
{
	static const char *const bad[] = {
		"",
		"zz",
		"0",
		"00",
		"00000000000000",                           /* cut short */
		"0000000000000000ff",                       /* a negative position */
		"0161000000000000000000",                   /* the start has no name */
		"000000000000000000000000000000000000",     /* a second start */
		"000000000000000000022e2e0000000000000000", /* ".." */
		"00000000000000000001610000000000000000",   /* "a", but a walk of one level */
		"000000000000000000ff",                     /* a name beyond the end */
		"000000000000000000032f6574",               /* cut in the name */
	};
	char *huge = malloc(200001);
	struct walk *w;

	(void)state;
	make_tree();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		w = walk_base(i == 9 ? 0 : WALK_RECURSIVE);
		assert_int_equal(walk_seek(w, bad[i]), -FTD_E_bad_request);
		walk_free(w);
	}
	assert_non_null(huge);
	memset(huge, '0', 200000);
	huge[200000] = '\0';
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(walk_seek(w, huge), -FTD_E_bad_request);
	walk_free(w);
	free(huge);
}

static void
a_cursor_enters_neither_links_nor_reserved_names(void **state)
{
	static const uint8_t link[] = "\0\0\0\0\0\0\0\0\0\4link\0\0\0\0\0\0\0";
	static const uint8_t own[] = "\0\0\0\0\0\0\0\0\0\4.ftd\0\0\0\0\0\0\0";
	struct walk *w = NULL;
	struct walk_item item;
	char hex[2 * sizeof(link) + 1];

	(void)state;
	make_tree();
	make_dir(".ftd");
	w = walk_base(WALK_RECURSIVE);
	assert_int_equal(walk_seek(w, text_hex(hex, own, sizeof(own))), -FTD_E_bad_request);
	assert_int_equal(walk_seek(w, text_hex(hex, link, sizeof(link))), 0);
	while (walk_next(w, &item) == 1)
		assert_memory_not_equal(item.path, "link/", 5);
	walk_free(w);
	assert_int_equal(unlinkat(base, ".ftd", AT_REMOVEDIR), 0);
}

#define CASE(f) cmocka_unit_test_teardown(f, empty)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(shows_one_level),
		CASE(shows_directories_before_their_content_and_follows_no_link),
		CASE(leaves_directories_after_their_content),
		CASE(skips_what_the_caller_skips),
		CASE(tells_what_cannot_be_read_and_goes_on),
		CASE(leaves_out_a_directory_that_vanished),
		CASE(does_not_enter_a_directory_that_became_a_link),
		CASE(goes_deep),
		cmocka_unit_test_teardown(tells_a_path_that_is_too_long_and_does_not_enter_it,
					  empty_long_chain),
		CASE(shows_each_of_many_once_across_cursors),
		CASE(resumes_from_every_place),
		CASE(goes_on_above_a_directory_that_vanished_since_the_cursor),
		CASE(refuses_hostile_cursors),
		CASE(a_cursor_enters_neither_links_nor_reserved_names),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
