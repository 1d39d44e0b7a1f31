#include "client/content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { HOLE = 1 << 20, DATA = 4096 };

/* A file of len bytes of 'x' behind a hole. The caller closes. */
static int
make_file(int dir, uint64_t hole, size_t len)
{
	char data[DATA];
	int fd = openat(dir, "f", O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && len <= sizeof(data));
	memset(data, 'x', sizeof(data));
	assert_int_equal(pwrite(fd, data, len, (off_t)hole), (ssize_t)len);
	return fd;
}

static void
shows_holes_and_data(void **state)
{
	auto_close int dir = scratch_make();
	auto_close int fd = make_file(dir, HOLE, DATA);
	struct content_run run;
	struct content c;
	char buf[2 * DATA];

	(void)state;
	assert_int_equal(ftruncate(fd, 2 * HOLE + DATA), 0);
	content_init(&c, fd, 2 * HOLE + DATA, true);
	assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 1);
	if (run.hole) { /* the file system knows holes */
		assert_int_equal(run.len, HOLE);
		assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 1);
		assert_false(run.hole);
		assert_int_equal(run.len, DATA);
		assert_int_equal(buf[DATA - 1], 'x');
		assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 1);
		assert_true(run.hole);
		assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 0);
	}
	scratch_remove();
}

static void
digest_is_the_same_with_and_without_holes(void **state)
{
	auto_close int dir = scratch_make();
	auto_close int fd = make_file(dir, HOLE, DATA);
	struct digest_value with, without;

	(void)state;
	assert_int_equal(content_digest(fd, HOLE + DATA, true, DIGEST_SHA256, &with), 0);
	assert_int_equal(content_digest(fd, HOLE + DATA, false, DIGEST_SHA256, &without), 0);
	assert_true(digest_equal(&with, &without));
	scratch_remove();
}

static void
notices_a_change_of_size(void **state)
{
	auto_close int dir = scratch_make();
	auto_close int fd = make_file(dir, 0, 100);
	struct digest_value value;

	(void)state;
	assert_int_equal(content_digest(fd, 99, false, DIGEST_XXH3, &value), -FTD_E_changed);
	assert_int_equal(content_digest(fd, 101, false, DIGEST_XXH3, &value), -FTD_E_changed);
	assert_int_equal(content_digest(fd, 100, false, DIGEST_XXH3, &value), 0);
	scratch_remove();
}

static void
reads_a_pipe_to_its_end(void **state)
{
	struct content_run run;
	struct content c;
	int fds[2];
	char buf[16];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "hello", 5), 5);
	close_fd(&fds[1]);
	content_init(&c, fds[0], CONTENT_UNKNOWN, false);
	assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 1);
	assert_int_equal(run.len, 5);
	assert_int_equal(content_next(&c, buf, sizeof(buf), &run), 0);
	assert_int_equal(c.at, 5);
	close_fd(&fds[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_holes_and_data),
		cmocka_unit_test(digest_is_the_same_with_and_without_holes),
		cmocka_unit_test(notices_a_change_of_size),
		cmocka_unit_test(reads_a_pipe_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
