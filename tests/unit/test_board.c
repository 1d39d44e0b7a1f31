/* Boards: who sees what, and what a torn or lying page does to its reader. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static struct board_orders
some_orders(uint32_t slot)
{
	struct board_orders o = { .slot = slot,
				  .session = 412,
				  .process = { .pid = 77, .asked_usec = 5, .born_usec = 6 },
				  .peer = { .in = { .sin_family = AF_INET } } };

	return o;
}

static void
what_was_left_is_found_again(void **state)
{
	char path[] = "/tmp/ftd-board.XXXXXX";
	int dir = temp_dir(path);
	struct boards b, again;
	struct board_orders o = some_orders(3);

	(void)state;
	assert_int_equal(boards_reopen(&b, dir, 8), -ENOENT);
	assert_int_equal(boards_create(&b, dir, 8), 0);
	memcpy(board_orders_at(&b, 3), &o, sizeof(o));
	board_write_begin(&board_orders_at(&b, 3)->seq); /* killed while it wrote */
	board_write_begin(&b.public->seq);
	boards_done(&b);
	assert_int_equal(boards_reopen(&again, dir, 9), -ESTALE); /* of another size */
	assert_int_equal(boards_reopen(&again, dir, 8), 0);
	assert_int_equal(board_read_orders(&again, 2, &o), -ENOENT);
	assert_int_equal(board_read_orders(&again, 3, &o), 0);
	assert_int_equal(o.session, 412);
	assert_int_equal(board_orders_at(&again, 3)->seq & 1, 0);
	assert_int_equal(again.public->seq & 1, 0);
	((struct board_header *)again.orders)->version++;
	boards_done(&again);
	assert_int_equal(boards_reopen(&again, dir, 8), -ESTALE);
	assert_int_equal(fchmodat(dir, "reports", 0660, 0), 0);
	assert_int_equal(boards_reopen(&again, dir, 8), -ESTALE);
	remove_dir(dir, path);
}

static void
only_pages_that_were_written_are_looked_at(void **state)
{
	char path[] = "/dev/shm/ftd-board.XXXXXX"; /* a tmpfs as /run is */
	struct boards b;
	struct stat fresh, after;
	int dir;

	(void)state;
	if (access("/dev/shm", W_OK) < 0)
		skip();
	dir = temp_dir(path);
	assert_int_equal(boards_create(&b, dir, 1000), 0);
	assert_int_equal(fstat(b.orders_fd, &fresh), 0);
	assert_int_equal(boards_next_written(&b, 0), 1000);
	board_orders_at(&b, 3)->session = 412;
	board_orders_at(&b, 999)->session = 413;
	assert_int_equal(boards_next_written(&b, 0), 3);
	assert_int_equal(boards_next_written(&b, 3), 3);
	assert_int_equal(boards_next_written(&b, 4), 999);
	assert_int_equal(boards_next_written(&b, 1000), 1000);
	assert_int_equal(fstat(b.orders_fd, &after), 0);
	assert_int_equal(after.st_blocks - fresh.st_blocks, 2 * BOARD_PAGE / 512);
	boards_done(&b);
	remove_dir(dir, path);
}

static void
orders_that_nobody_wrote(void **state)
{
	struct board_orders good = some_orders(0), o;
	struct board_orders *page = calloc(2, BOARD_PAGE);
	const struct boards b = { .slots = 1, .orders = page };

	(void)state;
	for (int i = 0; i <= 7; i++) {
		o = good;
		if (i == 1)
			o.slot = 1;
		if (i == 2)
			o.session = UINT64_MAX;
		if (i == 3)
			o.process.pid = -1;
		if (i == 4)
			o.process.born_usec = 4;
		if (i == 5)
			o.pump.pid = 1;
		if (i == 6)
			memset(o.user, 'x', sizeof(o.user));
		if (i == 7)
			o.peer.sa.sa_family = AF_UNIX;
		memcpy(board_orders_at(&b, 0), &o, sizeof(o));
		assert_int_equal(board_read_orders(&b, 0, &o), i == 0 ? 0 : -EBADMSG);
	}
	free(page);
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
		cmocka_unit_test(what_was_left_is_found_again),
		cmocka_unit_test(only_pages_that_were_written_are_looked_at),
		cmocka_unit_test(orders_that_nobody_wrote),
		cmocka_unit_test(a_torn_page_is_told_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
