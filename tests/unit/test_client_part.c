#include "client/part.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static bool
there(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
write_part(struct part *p, const char *text)
{
	assert_int_equal(pwrite(p->fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void
is_kept_until_it_has_its_name(void **state)
{
	auto_close int dir = scratch_make();
	const struct part_facts facts = {
		.has_mtime = true, .has_mode = true, .mtime_ns = -1500000000, .mode = 04777
	};
	char leaf[PATH_COMPONENT_MAX + 1] = "name";
	struct part p;
	struct stat st;

	(void)state;
	assert_int_equal(part_open(dir, leaf, &p), 0);
	write_part(&p, "half");
	part_done(&p);
	assert_true(there(dir, ".ft-name.part"));
	assert_false(there(dir, "name"));

	assert_int_equal(part_open(dir, leaf, &p), 0);
	assert_int_equal(part_held(&p), 4);
	assert_int_equal(part_publish(&p, leaf, &facts, IF_EXISTS_UNSAID), 0);
	part_done(&p);
	assert_false(there(dir, ".ft-name.part"));
	assert_int_equal(fstatat(dir, "name", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, -2);
	assert_int_equal(st.st_mtim.tv_nsec, 500000000);
	assert_int_equal(st.st_mode & 07000, 0); /* no set-id bits from a server */
	scratch_remove();
}

static void
an_empty_one_is_not_left_behind(void **state)
{
	auto_close int dir = scratch_make();
	struct part p;

	(void)state;
	assert_int_equal(part_open(dir, "x", &p), 0);
	part_done(&p);
	assert_false(there(dir, ".ft-x.part"));
	scratch_remove();
}

static void
belongs_to_one_writer(void **state)
{
	auto_close int dir = scratch_make();
	struct part p, q;

	(void)state;
	assert_int_equal(part_open(dir, "x", &p), 0);
	assert_int_equal(part_open(dir, "x", &q), -EBUSY);
	part_done(&p);
	scratch_remove();
}

static void
trusts_no_planted_file(void **state)
{
	auto_close int dir = scratch_make();
	auto_close int fd = -1;
	struct part p;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dir, ".ft-a.part"), 0);
	assert_int_equal(part_open(dir, "a", &p), -ELOOP);
	fd = openat(dir, "target", O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(linkat(dir, "target", dir, ".ft-b.part", 0), 0);
	assert_int_equal(part_open(dir, "b", &p), -EPERM);
	assert_int_equal(mkfifoat(dir, ".ft-c.part", 0600), 0);
	assert_int_equal(part_open(dir, "c", &p), -EPERM);
	scratch_remove();
}

static void
a_taken_name_is_treated_as_said(void **state)
{
	auto_close int dir = scratch_make();
	const struct part_facts none = { .has_mtime = false };
	char leaf[PATH_COMPONENT_MAX + 1] = "a.txt";
	struct part p;
	struct stat st;

	(void)state;
	assert_int_equal(mknodat(dir, "a.txt", S_IFREG | 0600, 0), 0);
	assert_int_equal(part_open(dir, leaf, &p), 0);
	write_part(&p, "new");
	assert_int_equal(part_publish(&p, leaf, &none, IF_EXISTS_FAIL), -EEXIST);
	assert_int_equal(part_publish(&p, leaf, &none, IF_EXISTS_SKIP), -EEXIST);
	assert_int_equal(part_publish(&p, leaf, &none, IF_EXISTS_KEEP_BOTH), 0);
	assert_string_equal(leaf, "a (2).txt");
	part_done(&p);
	assert_int_equal(fstatat(dir, "a.txt", &st, 0), 0);
	assert_int_equal(st.st_size, 0);

	memcpy(leaf, "a.txt", 6);
	assert_int_equal(part_open(dir, leaf, &p), 0);
	write_part(&p, "new");
	assert_int_equal(part_publish(&p, leaf, &none, IF_EXISTS_REPLACE), 0);
	part_done(&p);
	assert_int_equal(fstatat(dir, "a.txt", &st, 0), 0);
	assert_int_equal(st.st_size, 3);
	scratch_remove();
}

static void
the_longest_names_work(void **state)
{
	auto_close int dir = scratch_make();
	const struct part_facts none = { .has_mtime = false };
	char leaf[PATH_COMPONENT_MAX + 1], other[PATH_COMPONENT_MAX + 1];
	struct part p, q;

	(void)state;
	memset(leaf, 'n', sizeof(leaf) - 1);
	leaf[sizeof(leaf) - 1] = '\0';
	memcpy(other, leaf, sizeof(leaf));
	other[sizeof(leaf) - 2] = 'm';
	assert_int_equal(part_open(dir, leaf, &p), 0);
	assert_int_equal(part_open(dir, other, &q), 0);
	assert_string_not_equal(p.name, q.name);
	write_part(&p, "x");
	assert_int_equal(part_publish(&p, leaf, &none, IF_EXISTS_UNSAID), 0);
	part_done(&p);
	part_done(&q);
	assert_true(there(dir, leaf));
	scratch_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_kept_until_it_has_its_name),
		cmocka_unit_test(an_empty_one_is_not_left_behind),
		cmocka_unit_test(belongs_to_one_writer),
		cmocka_unit_test(trusts_no_planted_file),
		cmocka_unit_test(a_taken_name_is_treated_as_said),
		cmocka_unit_test(the_longest_names_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
