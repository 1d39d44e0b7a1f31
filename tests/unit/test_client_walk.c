#include "client/walk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static void
touch(int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
}

/* Walks; all paths, each with a space behind it, in the order they came. */
static void
walk_all(int dir, const struct options *o, char *paths, size_t size)
{
	struct walk_item item;
	struct walk *w;
	size_t n = 0;
	int r;

	paths[0] = '\0';
	assert_int_equal(walk_new(dir, o, &w), 0);
	while ((r = walk_next(w, &item)) > 0) {
		assert_int_equal(item.error, 0);
		n += (size_t)snprintf(paths + n, size - n, "%s ", item.path);
		assert_true(n < size);
	}
	assert_int_equal(r, 0);
	walk_free(w);
}

static int
make_tree(void)
{
	int dir = scratch_make();

	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(mkdirat(dir, "d/e", 0700), 0);
	touch(dir, "a");
	touch(dir, "d/e/f");
	assert_int_equal(symlinkat("d", dir, "link"), 0);
	return dir;
}

static void
shows_everything_once_directories_first(void **state)
{
	static const struct options none;
	auto_close int dir = make_tree();
	char paths[256];

	(void)state;
	walk_all(dir, &none, paths, sizeof(paths));
	assert_int_equal(strlen(paths), strlen("a d d/e d/e/f link "));
	assert_non_null(strstr(paths, "a "));
	assert_non_null(strstr(paths, "link "));
	assert_true(strstr(paths, "d ") < strstr(paths, "d/e "));
	assert_true(strstr(paths, "d/e ") < strstr(paths, "d/e/f "));
	assert_null(strstr(paths, "link/"));
	scratch_remove();
}

static void
does_not_enter_what_is_excluded(void **state)
{
	static const struct options no_e = { .exclude = { "d/e" }, .n_exclude = 1 };
	auto_close int dir = make_tree();
	char paths[256];

	(void)state;
	walk_all(dir, &no_e, paths, sizeof(paths));
	assert_null(strstr(paths, "d/e"));
	assert_non_null(strstr(paths, "d "));
	scratch_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_everything_once_directories_first),
		cmocka_unit_test(does_not_enter_what_is_excluded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
