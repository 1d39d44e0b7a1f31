/* daemon/common/ledger.c: nothing counts twice and nothing is lost, wherever a process ended. */
#include "daemon/common/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { LIMIT = 1000 };
enum { US = 0x1111, THEM = 0x2222 };

static int root = -1, staging = -1;
static struct ledger us, them;

static int
begin(void **state)
{
	(void)state;
	root = scratch_make();
	staging = root < 0 ? -1 : reserved_make(root, RESERVED_STAGING, false);
	ledger_init(&us, root, "alice", US);
	ledger_init(&them, root, "alice", THEM);
	return staging < 0;
}

static int
end(void **state)
{
	(void)state;
	ledger_done(&us);
	ledger_done(&them);
	close_fd(&staging);
	close_fd(&root);
	scratch_remove();
	return 0;
}

static struct staged_id
id_of(const struct ledger *l, uint64_t number)
{
	return (struct staged_id){ .session = l->session, .number = number };
}

static int
reserve(struct ledger *l, uint64_t number, uint64_t bytes)
{
	struct staged_id id = id_of(l, number);
	struct ledger_record record;
	int r;

	assert_int_equal(ledger_lock(l), 0);
	r = ledger_reserve(l, LIMIT, bytes, bytes, &id, false, &record);
	ledger_unlock(l);
	return r;
}

static void
change(struct ledger *l, uint64_t number, enum ledger_state state, uint64_t bytes, uint64_t credit)
{
	const struct ledger_record r = {
		.state = state, .id = id_of(l, number), .bytes = bytes, .credit = credit
	};

	assert_int_equal(ledger_lock(l), 0);
	assert_int_equal(ledger_change(l, &r), 0);
	ledger_unlock(l);
}

static void
settle(struct ledger *l, uint64_t number)
{
	struct staged_id id = id_of(l, number);

	assert_int_equal(ledger_lock(l), 0);
	assert_int_equal(ledger_settle(l, &id), 0);
	assert_int_equal(ledger_settle(l, &id), -ESTALE);
	ledger_unlock(l);
}

static void
stage(uint64_t session, uint64_t number)
{
	struct staged_id id = { .session = session, .number = number };
	char name[STAGED_NAME_MAX];
	auto_close int fd =
	    openat(staging, staged_name(&id, "", name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

/* What the ledger says, when the dead have been heard. */
static void
expect(uint64_t used, uint64_t reserved)
{
	assert_int_equal(ledger_lock(&us), 0);
	assert_int_equal(ledger_reclaim(&us), 0);
	assert_int_equal(us.image.header.used, used);
	assert_int_equal(ledger_reserved(&us.image), reserved);
	ledger_unlock(&us);
}

static bool
is_there(const char *name)
{
	return faccessat(root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- */

static void
to_the_last_byte(void **state)
{
	(void)state;
	assert_int_equal(reserve(&us, 1, 600), 0);
	assert_int_equal(reserve(&them, 1, 401), -FTD_E_quota_exceeded);
	assert_int_equal(reserve(&them, 1, 400), 0);
	assert_int_equal(reserve(&us, 2, 1), -FTD_E_quota_exceeded);
	assert_int_equal(reserve(&us, 2, 0), 0);
	settle(&us, 1);
	settle(&them, 1);
	assert_int_equal(reserve(&us, 3, 1), -FTD_E_quota_exceeded);
	expect(1000, 0);
}

/* As much as is wanted, as much as there is, at least as much as is needed. */
static void
in_steps(void **state)
{
	struct staged_id id = id_of(&us, 1);
	struct ledger_record record;

	(void)state;
	assert_int_equal(ledger_lock(&us), 0);
	assert_int_equal(ledger_reserve(&us, LIMIT, 0, 400, &id, false, &record), 0);
	assert_int_equal(record.bytes, 400);
	assert_int_equal(ledger_extend(&us, LIMIT, 1, 400, &record), 0);
	assert_int_equal(record.bytes, 800);
	assert_int_equal(ledger_extend(&us, LIMIT, 1, 400, &record), 0);
	assert_int_equal(record.bytes, 1000);
	assert_int_equal(ledger_extend(&us, LIMIT, 1, 400, &record), -FTD_E_quota_exceeded);
	assert_int_equal(record.bytes, 1000);
	assert_int_equal(ledger_drop(&us, &id), 0);
	ledger_unlock(&us);
	expect(0, 0);
}

static void
records_are_used_again(void **state)
{
	struct stat st;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(reserve(&us, i, 1), 0);
		settle(&us, i);
	}
	assert_int_equal(fstat(us.fd, &st), 0);
	assert_int_equal(st.st_size, 2 * LEDGER_ENTRY);
	expect(100, 0);
}

/* ---- the dead */

static void
what_the_dead_had_reserved_comes_back(void **state)
{
	(void)state;
	assert_int_equal(reserve(&them, 1, 600), 0);
	assert_int_equal(reserve(&us, 1, 600), -FTD_E_quota_exceeded);
	expect(0, 600);
	ledger_done(&them);
	assert_int_equal(reserve(&us, 1, 1000), 0);
	expect(0, 1000);
}

static void
what_the_dead_had_published_counts(void **state)
{
	(void)state;
	assert_int_equal(reserve(&us, 1, 300), 0);
	settle(&us, 1);
	stage(THEM, 1);
	assert_int_equal(reserve(&them, 1, 100), 0);
	assert_int_equal(reserve(&them, 2, 200), 0);
	change(&them, 1, LEDGER_PUBLISHING, 100, 50); /* its file still waits */
	change(&them, 2, LEDGER_PUBLISHING, 200, 50); /* its file has its name */
	ledger_done(&them);
	expect(300 + 200 - 50, 0);
}

static void
of_a_removal_nobody_knows(void **state)
{
	(void)state;
	assert_int_equal(reserve(&us, 1, 300), 0);
	settle(&us, 1);
	assert_int_equal(reserve(&them, 1, 0), 0);
	change(&them, 1, LEDGER_REMOVING, 0, 300);
	ledger_done(&them);
	assert_false(is_there(".ftd/quota/" LEDGER_ASKED));
	expect(300, 0);
	assert_true(is_there(".ftd/quota/" LEDGER_ASKED));
	assert_int_equal(ledger_lock(&us), 0);
	assert_int_equal(us.image.header.flags, LEDGER_UNSURE);
	ledger_unlock(&us);
}

/* A file waits in its own directory as long as its note leads to it. */
static void
elsewhere(void **state)
{
	struct staged_id id = id_of(&them, 1);
	struct ledger_record r;
	char name[STAGED_NAME_MAX];
	auto_close int note = openat(staging, staged_name(&id, STAGED_NOTE, name),
				     O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	auto_close int dir = -1, file = -1;

	(void)state;
	assert_int_equal(mkdirat(root, "d", 0700), 0);
	dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(io_write_full(note, "d", 1), 0);
	file = openat(dir, staged_name_elsewhere(&id, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(staged_exists(root, &id, true), 1);
	assert_int_equal(staged_exists(root, &id, false), 0);
	assert_int_equal(ledger_lock(&them), 0);
	assert_int_equal(ledger_reserve(&them, LIMIT, 10, 10, &id, true, &r), 0);
	r.state = LEDGER_PUBLISHING;
	assert_int_equal(ledger_change(&them, &r), 0);
	ledger_done(&them);
	assert_int_equal(renameat(dir, name, dir, "published"), 0);
	assert_int_equal(staged_exists(root, &id, true), 0);
	expect(10, 0);
}

/* The header has the bytes, the record has them still. */
static void
killed_within_a_settlement(void **state)
{
	(void)state;
	assert_int_equal(reserve(&them, 1, 200), 0);
	assert_int_equal(reserve(&them, 2, 300), 0);
	assert_int_equal(ledger_lock(&them), 0);
	them.image.header.used = 200;
	them.image.header.done = 1;
	assert_int_equal(ledger_update(&them), 0);
	ledger_unlock(&them);
	ledger_done(&them);
	assert_int_equal(ledger_lock(&us), 0);
	assert_int_equal(us.image.header.used, 200);
	assert_int_equal(ledger_reserved(&us.image), 300);
	ledger_unlock(&us);
	assert_int_equal(reserve(&us, 1, 100), 0);
	expect(200, 100);
}

/* What is removed may not have been added yet. */
static void
a_credit_waits_for_what_it_takes_from(void **state)
{
	(void)state;
	assert_int_equal(reserve(&them, 1, 500), 0);
	change(&them, 1, LEDGER_PUBLISHING, 500, 0);
	ledger_done(&them);
	assert_int_equal(reserve(&us, 1, 0), 0);
	change(&us, 1, LEDGER_REMOVING, 0, 500);
	settle(&us, 1);
	expect(0, 0);
}

/* ---- files that are none of ours */

static void
write_bytes(const char *name, const void *data, size_t len)
{
	auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, data, len), 0);
}

static void
damaged(void **state)
{
	auto_free char *good = NULL, *kept = NULL;
	size_t len, kept_len;

	(void)state;
	assert_int_equal(reserve(&us, 1, 100), 0);
	assert_int_equal(io_read_file(root, ".ftd/quota/alice", 4096, &good, &len), 0);
	assert_int_equal(len, 2 * LEDGER_ENTRY);
	for (size_t i = 0; i < len; i++) {
		free(take_ptr(kept));
		good[i] ^= 0x10;
		write_bytes(".ftd/quota/alice", good, len);
		assert_int_equal(ledger_lock(&them), 0);
		assert_true(them.set_aside);
		them.set_aside = false;
		assert_int_equal(them.image.header.flags, LEDGER_UNSURE | LEDGER_UNKNOWN);
		ledger_unlock(&them);
		assert_int_equal(reserve(&them, 1, 1), -FTD_E_busy);
		assert_int_equal(io_read_file(root, ".ftd/quota/alice~bad", 4096, &kept, &kept_len),
				 0);
		assert_int_equal(kept_len, len);
		assert_memory_equal(kept, good, len);
		good[i] ^= 0x10;
	}
	assert_true(is_there(".ftd/quota/" LEDGER_ASKED));
}

static void
of_a_wrong_length(void **state)
{
	static const size_t lengths[] = { 1, LEDGER_ENTRY - 1, LEDGER_ENTRY + 1,
					  LEDGER_FILE_MAX + LEDGER_ENTRY };
	uint8_t *bytes = calloc(1, LEDGER_FILE_MAX + LEDGER_ENTRY);
	struct ledger_header h = { .used = 5 };
	struct ledger_image image;

	(void)state;
	assert_non_null(bytes);
	ledger_write_header(&h, bytes);
	assert_int_equal(ledger_read(bytes, LEDGER_FILE_MAX, &image), 0);
	assert_int_equal(image.n, LEDGER_RECORDS_MAX);
	ledger_image_done(&image);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(ledger_read(bytes, lengths[i], &image), -EBADMSG);
	free(bytes);
}

/* Somebody has removed the file: the next who locks has a new one. */
static void
removed(void **state)
{
	(void)state;
	assert_int_equal(reserve(&us, 1, 100), 0);
	settle(&us, 1);
	assert_int_equal(unlinkat(root, ".ftd/quota/alice", 0), 0);
	expect(0, 0);
	assert_true(is_there(".ftd/quota/alice"));
}

static void
in_the_way(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(root, ".ftd/quota", 0700), 0);
	assert_int_equal(symlinkat("../staging/x", root, ".ftd/quota/alice"), 0);
	assert_int_equal(ledger_lock(&us), -ELOOP);
	assert_int_equal(unlinkat(root, ".ftd/quota/alice", 0), 0);
	assert_int_equal(mkdirat(root, ".ftd/quota/alice", 0700), 0);
	assert_true(ledger_lock(&us) < 0);
}

static void
names(void **state)
{
	static const char *const bad[] = {
		"", "..", "-x", ".x", "a/b", "A", "alice~bad", "~count"
	};

	(void)state;
	assert_true(ledger_name_is_valid("alice", 5));
	assert_true(ledger_name_is_valid(LEDGER_NOBODY, 1));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(ledger_name_is_valid(bad[i], strlen(bad[i])));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(to_the_last_byte),
		TEST(in_steps),
		TEST(records_are_used_again),
		TEST(what_the_dead_had_reserved_comes_back),
		TEST(what_the_dead_had_published_counts),
		TEST(of_a_removal_nobody_knows),
		TEST(elsewhere),
		TEST(killed_within_a_settlement),
		TEST(a_credit_waits_for_what_it_takes_from),
		TEST(damaged),
		TEST(of_a_wrong_length),
		TEST(removed),
		TEST(in_the_way),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
