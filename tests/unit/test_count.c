/* daemon/keeper/count.c: what the files say is what the ledgers say afterwards. */
#include "daemon/keeper/count.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/common/ledger.h"
#include "daemon/keeper/ledgers.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static int root = -1;

static int
begin(void **state)
{
	(void)state;
	root = scratch_make();
	return root < 0 || mkdirat(root, "d", 0700) < 0;
}

static int
end(void **state)
{
	(void)state;
	close_fd(&root);
	scratch_remove();
	return 0;
}

/* A file of so many bytes; owner NULL: nobody's. */
static void
make(const char *name, size_t size, const char *owner)
{
	auto_close int fd = openat(root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (owner != NULL && fsetxattr(fd, LEDGER_OWNER, owner, strlen(owner), 0) < 0)
		skip();
}

static void
expect(const char *user, uint64_t used, uint32_t flags)
{
	struct ledger l;

	ledger_init(&l, root, user, 1);
	assert_int_equal(ledger_lock(&l), 0);
	assert_int_equal(l.image.header.used, used);
	assert_int_equal(l.image.header.flags, flags);
	assert_int_equal(l.image.header.counted_ns != 0, flags == 0);
	ledger_unlock(&l);
	ledger_done(&l);
}

static bool
go_on(void)
{
	return false;
}

static bool
stop(void)
{
	return true;
}

static void
everybodys_files(void **state)
{
	(void)state;
	make("a", 100, "alice");
	make("d/a", 50, "alice");
	make("d/b", 7, "bob");
	make("-", 3, "-");
	make("old", 1000, NULL);
	make("odd", 1000, "../x");
	expect("carol", 0, LEDGER_UNSURE);
	assert_int_equal(count_share(root, go_on), 0);
	expect("alice", 150, 0);
	expect("bob", 7, 0);
	expect("-", 3, 0);
	expect("carol", 0, 0);
	assert_int_equal(unlinkat(root, "a", 0), 0);
	assert_int_equal(count_share(root, go_on), 0);
	expect("alice", 50, 0);
}

static void
what_is_staged_counts_not(void **state)
{
	(void)state;
	make("d/.ftd-0123456789abcdef-1", 100, "alice");
	make("a", 1, "alice");
	assert_int_equal(count_share(root, go_on), 0);
	expect("alice", 1, 0);
}

static void
a_request_is_heard_once(void **state)
{
	(void)state;
	assert_int_equal(ledger_ask_count(root), 0);
	assert_int_equal(faccessat(root, ".ftd/quota/" LEDGER_ASKED, F_OK, 0), 0);
	assert_int_equal(count_share(root, go_on), 0);
	assert_true(faccessat(root, ".ftd/quota/" LEDGER_ASKED, F_OK, 0) < 0);
}

static void
it_can_be_stopped(void **state)
{
	(void)state;
	make("a", 1, "alice");
	assert_int_equal(count_share(root, stop), -ECANCELED);
	expect("alice", 0, LEDGER_UNSURE);
}

/* ---- changes meanwhile, made where a count asks whether to stop: before it looks at a file */

static void
change(const char *user, bool moves)
{
	struct ledger l;

	ledger_init(&l, root, user, 1);
	assert_int_equal(ledger_lock(&l), 0);
	if (moves)
		l.image.header.moves++;
	else
		l.image.header.changes++;
	l.image.header.used = 5;
	assert_int_equal(ledger_update(&l), 0);
	ledger_unlock(&l);
	ledger_done(&l);
}

static bool
publish(void)
{
	change("alice", false);
	return false;
}

static bool
rename_directory(void)
{
	change(LEDGER_NOBODY, true);
	return false;
}

static void
newer_changes_stay(void **state)
{
	(void)state;
	make("a", 100, "alice");
	make("b", 70, "bob");
	assert_int_equal(count_share(root, publish), 1);
	expect("alice", 5, LEDGER_UNSURE);
	expect("bob", 70, 0);
	assert_int_equal(count_share(root, rename_directory), 1);
	expect("alice", 5, LEDGER_UNSURE);
	assert_int_equal(count_share(root, go_on), 0);
	expect("alice", 100, 0);
}

/* A reservation stays, its owner living; one of the dead goes. */
static void
reservations(void **state)
{
	const struct staged_id id = { .session = 1, .number = 1 }, other = { 2, 1 };
	struct ledger alive, dead;
	struct ledger_record r;

	(void)state;
	ledger_init(&alive, root, "alice", 1);
	ledger_init(&dead, root, "alice", 2);
	assert_int_equal(ledger_lock(&alive), 0);
	assert_int_equal(ledger_reserve(&alive, 100, 40, 40, &id, false, &r), 0);
	ledger_unlock(&alive);
	assert_int_equal(ledger_lock(&dead), 0);
	assert_int_equal(ledger_reserve(&dead, 100, 60, 60, &other, false, &r), 0);
	ledger_unlock(&dead);
	assert_int_equal(ledgers_release(root, &id), -EAGAIN);
	assert_int_equal(ledgers_release(root, &other), -EAGAIN);
	ledger_done(&dead);
	assert_int_equal(ledgers_release(root, &other), 0);
	assert_int_equal(count_share(root, go_on), 0);
	assert_int_equal(ledger_lock(&alive), 0);
	assert_int_equal(ledger_reserved(&alive.image), 40);
	assert_int_equal(ledger_drop(&alive, &id), 0);
	ledger_unlock(&alive);
	ledger_done(&alive);
	assert_int_equal(ledgers_release(root, &id), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everybodys_files),        TEST(what_is_staged_counts_not),
		TEST(a_request_is_heard_once), TEST(it_can_be_stopped),
		TEST(newer_changes_stay),      TEST(reservations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
