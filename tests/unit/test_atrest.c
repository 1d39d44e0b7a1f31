/* daemon/session/atrest.c, its records and its table: what is believed of a file, and what no more.
 */
#include "daemon/session/atrest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/session/atrest_record.h"
#include "daemon/session/atrest_table.h"
#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/alone.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define ATTRIBUTE "user.ftd.xxh3"
enum { SIZE = ATREST_MIN, MTIME = 1000000000 };

static const struct digest_value xxh3 = { .algorithm = DIGEST_XXH3, .bytes = "0123456789abcde" };
static const struct digest_value blocks = { .algorithm = DIGEST_BLOCKS,
					    .bytes = "fedcba987654321" };
static const struct digest_value sha256 = { .algorithm = DIGEST_SHA256, .bytes = "?" };

static struct session s;
static int root = -1;

static int
begin(void **state)
{
	(void)state;
	root = scratch_make();
	return root < 0 || alone_start(&s, "") != 0 || mkdirat(root, ".ftd", 0700) < 0;
}

static int
end(void **state)
{
	(void)state;
	alone_end(&s);
	close_fd(&root);
	scratch_remove();
	return 0;
}

static int
make(const char *name, struct entry_stat *ret)
{
	int fd = openat(root, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(entry_set_mtime(fd, MTIME), 0);
	assert_int_equal(entry_stat(fd, NULL, ret), 0);
	return fd;
}

static bool
knows(int fd, const struct digest_value *v)
{
	struct digest_value got;
	struct entry_stat st;

	assert_int_equal(entry_stat(fd, NULL, &st), 0);
	if (!atrest_get(&s, 0, fd, &st, v->algorithm, &got) || got.algorithm != v->algorithm)
		return false;
	assert_true(digest_equal(&got, v));
	return true;
}

/* ---- records */

static void
a_record_is_read_as_it_was_written(void **state)
{
	struct atrest_record r = { .size = UINT64_MAX, .mtime_ns = INT64_MIN }, got;
	uint8_t data[ATREST_RECORD];
	struct digest_value v;

	(void)state;
	atrest_note(&r, &sha256);
	assert_false(r.has_xxh3 || r.has_blocks);
	atrest_note(&r, &blocks);
	atrest_encode(&r, data);
	assert_int_equal(atrest_decode(data, sizeof(data), &got), 0);
	assert_true(got.size == r.size && got.mtime_ns == r.mtime_ns);
	assert_false(atrest_find(&got, DIGEST_XXH3, &v));
	assert_false(atrest_find(&got, DIGEST_SHA256, &v));
	assert_true(atrest_find(&got, DIGEST_BLOCKS, &v) && digest_equal(&v, &blocks));
}

static void
what_is_damaged_is_nothing(void **state)
{
	struct atrest_record r = { .size = SIZE, .mtime_ns = MTIME }, got;
	struct atrest_file f = { 1, 2, 3 }, other = { 1, 2, 4 };
	uint8_t data[ATREST_PLACE];

	(void)state;
	atrest_note(&r, &xxh3);
	atrest_encode(&r, data);
	for (size_t i = 0; i < ATREST_RECORD; i++) {
		assert_int_equal(atrest_decode(data, i, &got), -EBADMSG);
		data[i] ^= 0x10;
		assert_int_equal(atrest_decode(data, ATREST_RECORD, &got), -EBADMSG);
		data[i] ^= 0x10;
	}
	atrest_encode_place(&f, &r, data);
	assert_int_equal(atrest_decode_place(data, sizeof(data), &f, &got), 0);
	assert_int_equal(atrest_decode_place(data, sizeof(data), &other, &got), -EBADMSG);
	data[30] ^= 1;
	assert_int_equal(atrest_decode_place(data, sizeof(data), &f, &got), -EBADMSG);
}

/* ---- files */

static void
what_is_noted_is_known_until_the_file_is_another(void **state)
{
	struct digest_value got;
	struct entry_stat st;
	auto_close int fd = make("x", &st);

	(void)state;
	assert_false(knows(fd, &xxh3));
	atrest_put(&s, 0, fd, &st, &xxh3);
	assert_true(knows(fd, &xxh3));
	assert_false(knows(fd, &blocks));
	assert_true(atrest_get(&s, 0, fd, &st, DIGEST_SHA256, &got) && digest_equal(&got, &xxh3));
	atrest_add(&s, 0, fd, &st, &blocks);
	assert_true(knows(fd, &xxh3) && knows(fd, &blocks));
	atrest_put(&s, 0, fd, &st, &blocks); /* another content */
	assert_true(knows(fd, &blocks) && !knows(fd, &xxh3));

	assert_int_equal(entry_set_mtime(fd, MTIME + 1), 0);
	assert_false(knows(fd, &blocks));
	assert_int_equal(ftruncate(fd, SIZE + 1), 0);
	assert_int_equal(entry_set_mtime(fd, MTIME), 0);
	assert_false(knows(fd, &blocks));
}

static void
small_files_have_no_note(void **state)
{
	struct entry_stat st;
	auto_close int fd = make("x", &st);

	(void)state;
	assert_int_equal(ftruncate(fd, SIZE - 1), 0);
	st.size = SIZE - 1;
	atrest_put(&s, 0, fd, &st, &xxh3);
	atrest_add(&s, 0, fd, &st, &xxh3);
	assert_true(fgetxattr(fd, ATTRIBUTE, NULL, 0) < 0);
}

/* An attribute that somebody else wrote is a guess, or nothing. */
static void
hostile_attributes_are_nothing(void **state)
{
	static const char text[] = "xxh3:00000000000000000000000000000000";
	uint8_t large[4000] = { 1, 3 };
	struct entry_stat st;
	auto_close int fd = make("x", &st);

	(void)state;
	if (fsetxattr(fd, ATTRIBUTE, text, 0, 0) < 0 && errno == EOPNOTSUPP)
		skip();
	for (size_t n = 0; n < sizeof(text); n++) {
		assert_int_equal(fsetxattr(fd, ATTRIBUTE, text, n, 0), 0);
		assert_false(knows(fd, &xxh3));
	}
	assert_int_equal(fsetxattr(fd, ATTRIBUTE, large, sizeof(large), 0), 0);
	assert_false(knows(fd, &xxh3));
	atrest_put(&s, 0, fd, &st, &xxh3);
	assert_true(knows(fd, &xxh3));
}

static void
another_time_on_purpose_keeps_what_is_known(void **state)
{
	struct entry_stat was, is;
	auto_close int fd = make("x", &was);

	(void)state;
	atrest_put(&s, 0, fd, &was, &xxh3);
	assert_int_equal(entry_set_mtime(fd, MTIME + 5), 0);
	assert_int_equal(entry_stat(fd, NULL, &is), 0);
	atrest_carry(&s, 0, fd, &was, 0, fd, &is);
	assert_true(knows(fd, &xxh3));
}

/* Written in place, then given the time back that it had: what was noted then is about the past. */
static void
the_old_time_on_purpose_brings_nothing_back(void **state)
{
	struct entry_stat was, is;
	auto_close int fd = make("x", &was);

	(void)state;
	atrest_put(&s, 0, fd, &was, &xxh3);
	assert_int_equal(pwrite(fd, "!", 1, 7), 1);
	assert_int_equal(entry_stat(fd, NULL, &was), 0);
	assert_int_equal(entry_set_mtime(fd, MTIME), 0);
	assert_int_equal(entry_stat(fd, NULL, &is), 0);
	atrest_carry(&s, 0, fd, &was, 0, fd, &is);
	assert_false(knows(fd, &xxh3));
}

static void
a_copy_is_what_the_original_is(void **state)
{
	struct entry_stat from_st, to_st;
	auto_close int from = make("x", &from_st), to = make("y", &to_st);

	(void)state;
	atrest_carry(&s, 0, from, &from_st, 0, to, &to_st);
	assert_false(knows(to, &xxh3));
	atrest_put(&s, 0, from, &from_st, &xxh3);
	atrest_carry(&s, 0, from, &from_st, 0, to, &to_st);
	assert_true(knows(to, &xxh3));
}

static void
who_was_written_just_now_is_not_settled(void **state)
{
	struct entry_stat st = { .mtime_ns = clock_real_ns() };

	(void)state;
	assert_false(atrest_is_settled(&st));
	st.mtime_ns = MTIME;
	assert_true(atrest_is_settled(&st));
	st.mtime_ns = INT64_MAX;
	assert_true(atrest_is_settled(&st));
	st.mtime_ns = INT64_MIN;
	assert_true(atrest_is_settled(&st));
}

/* ---- the table */

static void
the_table_knows_a_file_and_no_other(void **state)
{
	struct atrest_record r = { .size = SIZE, .mtime_ns = MTIME }, got;
	struct entry_stat st, other;
	auto_close int fd = make("x", &st);

	(void)state;
	if (st.birth_ns == 0)
		skip();
	assert_true(atrest_table_load(&s, 0, &st, &got) < 0);
	atrest_note(&r, &xxh3);
	assert_int_equal(atrest_table_store(&s, 0, &st, &r), 0);
	assert_int_equal(atrest_table_load(&s, 0, &st, &got), 0);
	assert_true(knows(fd, &xxh3)); /* there is no attribute */
	other = st;
	other.birth_ns++; /* the inode was given away again */
	assert_true(atrest_table_load(&s, 0, &other, &got) < 0);
	other = st;
	other.inode++;
	assert_true(atrest_table_load(&s, 0, &other, &got) < 0);
	other = st;
	other.birth_ns = 0; /* nobody knows whether it was */
	assert_true(atrest_table_load(&s, 0, &other, &got) < 0);
	assert_true(atrest_table_store(&s, 0, &other, &r) < 0);
}

static void
a_table_of_anything_is_no_table(void **state)
{
	struct atrest_record r = { .size = SIZE, .mtime_ns = MTIME }, got;
	struct entry_stat st;
	auto_close int fd = make("x", &st);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mkfifoat(root, ".ftd/digests", 0600), 0);
	assert_true(atrest_table_load(&s, 0, &st, &got) < 0);
	assert_true(atrest_table_store(&s, 0, &st, &r) < 0);
	assert_int_equal(unlinkat(root, ".ftd/digests", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", root, ".ftd/digests"), 0);
	assert_true(atrest_table_store(&s, 0, &st, &r) < 0);
}

static void
the_table_is_bounded(void **state)
{
	struct atrest_record r = { .size = SIZE, .mtime_ns = MTIME };
	struct entry_stat st = { .birth_ns = 1 };
	struct stat is;

	(void)state;
	for (st.inode = 0; st.inode < 100000; st.inode++)
		assert_int_equal(atrest_table_store(&s, 0, &st, &r), 0);
	assert_int_equal(fstatat(root, ".ftd/digests", &is, 0), 0);
	assert_true(is.st_size <= 4 << 20);
	assert_int_equal(is.st_mode & 07777, 0600);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_read_as_it_was_written),
		cmocka_unit_test(what_is_damaged_is_nothing),
		cmocka_unit_test_setup_teardown(what_is_noted_is_known_until_the_file_is_another,
						begin, end),
		cmocka_unit_test_setup_teardown(small_files_have_no_note, begin, end),
		cmocka_unit_test_setup_teardown(hostile_attributes_are_nothing, begin, end),
		cmocka_unit_test_setup_teardown(another_time_on_purpose_keeps_what_is_known, begin,
						end),
		cmocka_unit_test_setup_teardown(the_old_time_on_purpose_brings_nothing_back, begin,
						end),
		cmocka_unit_test_setup_teardown(a_copy_is_what_the_original_is, begin, end),
		cmocka_unit_test(who_was_written_just_now_is_not_settled),
		cmocka_unit_test_setup_teardown(the_table_knows_a_file_and_no_other, begin, end),
		cmocka_unit_test_setup_teardown(a_table_of_anything_is_no_table, begin, end),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
