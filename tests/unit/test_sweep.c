/* The keeper's sweep: orphans go, what a session holds stays, nothing else is touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/sweep.h"
#include "tests/unit/unit.h"

#define ID "0123456789abcdef-7"

struct world {
	char path[32];
	int root;
};

static void
make(const struct world *w, const char *name, const char *content)
{
	int fd = openat(w->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	(void)close(fd);
}

static int
exists(const struct world *w, const char *name)
{
	return faccessat(w->root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
hold(const struct world *w, const char *name)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(w->root, name, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	return fd;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)strncpy(w->path, "/tmp/ftd-sweep.XXXXXX", sizeof(w->path) - 1);
	assert_non_null(mkdtemp(w->path));
	w->root = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(w->root, ".ftd", 0700), 0);
	assert_int_equal(mkdirat(w->root, ".ftd/staging", 0700), 0);
	assert_int_equal(mkdirat(w->root, "sub", 0700), 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = {
		".ftd/staging/" ID,       ".ftd/staging/" ID ".at",
		".ftd/staging/notes.txt", ".ftd/staging/ABCDEF0123456789-1",
		"sub/.ftd-" ID,           "sub/other",
		".ftd/staging/link"
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(w->root, names[i], 0);
	(void)unlinkat(w->root, ".ftd/staging", AT_REMOVEDIR);
	(void)unlinkat(w->root, ".ftd", AT_REMOVEDIR);
	(void)unlinkat(w->root, "sub", AT_REMOVEDIR);
	(void)close(w->root);
	assert_int_equal(rmdir(w->path), 0);
	free(w);
	return 0;
}

static void
an_orphan_goes(void **state)
{
	struct world *w = *state;
	size_t removed = 0;

	make(w, ".ftd/staging/" ID, "part");
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 1);
	assert_false(exists(w, ".ftd/staging/" ID));
}

static void
what_is_held_stays(void **state)
{
	struct world *w = *state;
	size_t removed = 0;
	int fd;

	make(w, ".ftd/staging/" ID, "part");
	fd = hold(w, ".ftd/staging/" ID);
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 0);
	assert_true(exists(w, ".ftd/staging/" ID));
	(void)close(fd);
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 1);
}

static void
a_note_leads_to_the_file_beside_its_target(void **state)
{
	struct world *w = *state;
	size_t removed = 0;
	int fd;

	make(w, ".ftd/staging/" ID ".at", "sub");
	make(w, "sub/.ftd-" ID, "part");
	make(w, "sub/other", "keep");
	fd = hold(w, "sub/.ftd-" ID);
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 0);
	assert_true(exists(w, ".ftd/staging/" ID ".at"));
	(void)close(fd);
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 1);
	assert_false(exists(w, "sub/.ftd-" ID));
	assert_false(exists(w, ".ftd/staging/" ID ".at"));
	assert_true(exists(w, "sub/other"));
}

static void
a_note_cannot_lead_outside(void **state)
{
	struct world *w = *state;
	size_t removed = 0;
	char outside[64];
	int fd;

	make(w, ".ftd/staging/" ID ".at", "..");
	(void)snprintf(outside, sizeof(outside), "../.ftd-" ID);
	fd = openat(w->root, outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)sweep_share(w->root, NULL, &removed);
	assert_int_equal(removed, 0);
	assert_int_equal(unlinkat(w->root, outside, 0), 0); /* it was still there */
}

static void
other_names_and_links_are_left_alone(void **state)
{
	struct world *w = *state;
	size_t removed = 0;

	make(w, ".ftd/staging/notes.txt", "x");
	make(w, ".ftd/staging/ABCDEF0123456789-1", "x");
	assert_int_equal(symlinkat("../../sub", w->root, ".ftd/staging/" ID), 0);
	assert_int_equal(sweep_share(w->root, NULL, &removed), -ELOOP);
	assert_int_equal(removed, 0);
	assert_true(exists(w, ".ftd/staging/notes.txt"));
	assert_true(exists(w, "sub"));
}

static void
a_share_without_staging_has_no_orphans(void **state)
{
	struct world *w = *state;
	size_t removed = 0;

	assert_int_equal(unlinkat(w->root, ".ftd/staging", AT_REMOVEDIR), 0);
	assert_int_equal(sweep_share(w->root, NULL, &removed), 0);
	assert_int_equal(removed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_orphan_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_held_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_note_leads_to_the_file_beside_its_target, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_note_cannot_lead_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(other_names_and_links_are_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_share_without_staging_has_no_orphans, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
