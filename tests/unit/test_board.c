/* Boards: who sees what, and what a torn or lying page does to its reader. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/common/board.h"
#include "tests/unit/unit.h"

static int
temp_dir(char *path)
{
	assert_non_null(mkdtemp(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
remove_dir(int dir, const char *path)
{
	(void)unlinkat(dir, "orders", 0);
	(void)unlinkat(dir, "reports", 0);
	(void)unlinkat(dir, "public", 0);
	(void)close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void
a_role_sees_its_page_and_cannot_write_orders(void **state)
{
	char path[] = "/tmp/ftd-board.XXXXXX";
	int dir = temp_dir(path);
	struct boards b;
	const struct board_orders *o;
	struct board_report *r;

	(void)state;
	assert_int_equal(boards_create(&b, dir, 8), 0);
	board_orders_at(&b, 3)->session = 412;
	o = board_map_slot(b.orders_ro_fd, 3, false);
	assert_non_null(o);
	assert_int_equal(o->session, 412);
	assert_null(board_map_slot(b.orders_ro_fd, 3, true));
	assert_int_equal(mprotect((void *)(uintptr_t)o, BOARD_PAGE, PROT_READ | PROT_WRITE), -1);
	r = board_map_slot(b.reports_fd, 7, true);
	assert_non_null(r);
	r->bytes_in = 99;
	assert_int_equal(board_report_at(&b, 7)->bytes_in, 99);
	assert_memory_equal(b.orders, "FTDBOARD", 8);
	boards_done(&b);
	remove_dir(dir, path);
}

static void
new_boards_do_not_touch_the_old_ones(void **state)
{
	char path[] = "/tmp/ftd-board.XXXXXX";
	int dir = temp_dir(path);
	struct boards b, again;
	struct board_report *old;

	(void)state;
	assert_int_equal(boards_create(&b, dir, 4), 0);
	old = board_map_slot(b.reports_fd, 0, true);
	old->uploads = 5;
	assert_int_equal(boards_create(&again, dir, 4), 0);
	assert_int_equal(board_report_at(&again, 0)->uploads, 0);
	assert_int_equal(old->uploads, 5); /* a mapping of a truncated file would be a SIGBUS */
	boards_done(&b);
	boards_done(&again);
	remove_dir(dir, path);
}

static void
a_torn_page_is_told_and_bounded(void **state)
{
	struct board_report *page = calloc(1, BOARD_PAGE);
	struct board_report copy;

	(void)state;
	page->path_len = UINT32_MAX;
	page->state = 77;
	memset(page->opt, 'x', sizeof(page->opt));
	assert_int_equal(board_read_report(page, &copy), 0);
	assert_int_equal(copy.path_len, sizeof(copy.path));
	assert_true(copy.state < BOARD_STATES);
	assert_int_equal(copy.opt[sizeof(copy.opt) - 1], '\0');
	board_write_begin(&page->seq); /* a writer that died in the middle */
	assert_int_equal(board_read_report(page, &copy), -EAGAIN);
	assert_int_equal(copy.path_len, sizeof(copy.path));
	board_write_end(&page->seq);
	assert_int_equal(board_read_report(page, &copy), 0);
	free(page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_sees_its_page_and_cannot_write_orders),
		cmocka_unit_test(new_boards_do_not_touch_the_old_ones),
		cmocka_unit_test(a_torn_page_is_told_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
