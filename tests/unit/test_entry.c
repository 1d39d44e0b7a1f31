/* daemon/session/entry.c: what a client is told about a file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/session/session.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static int base;
static char base_name[] = "/tmp/ftd-entry-XXXXXX";

static int
group_setup(void **state)
{
	(void)state;
	if (mkdtemp(base_name) == NULL)
		return -1;
	base = open(base_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base < 0 ? -1 : 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	(void)unlinkat(base, "file", 0);
	(void)unlinkat(base, "link", 0);
	(void)unlinkat(base, "fifo", 0);
	close_fd(&base);
	return rmdir(base_name);
}

static int
file_of(const char *content, int64_t sec, long nsec)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = sec, .tv_nsec = nsec } };
	int fd = openat(base, "file", O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 04640), 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(futimens(fd, times), 0);
	return fd;
}

static json_int_t
integer_of(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

static void
a_file_is_described(void **state)
{
	auto_close int fd = file_of("hello", 1700000000, 7);
	auto_json json_t *o = NULL;
	struct entry_stat st;

	(void)state;
	assert_int_equal(entry_stat(fd, NULL, &st), 0);
	o = entry_json("sub/file", 8, &st);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "name")), "sub/file");
	assert_string_equal(json_string_value(json_object_get(o, "type")), "file");
	assert_int_equal(integer_of(o, "filesize"), 5);
	assert_int_equal(integer_of(o, "mtime_ns"), INT64_C(1700000000000000007));
	assert_int_equal(integer_of(o, "mode"), 0640);
	assert_true(json_is_string(json_object_get(o, "etag")));
}

static void
times_before_1970_and_beyond_2262_are_told(void **state)
{
	auto_close int fd = file_of("", -2, 999999999);
	struct entry_stat st;

	(void)state;
	assert_int_equal(entry_stat(fd, NULL, &st), 0);
	assert_int_equal(st.mtime_ns, -1000000001);
	close_fd(&fd);
	fd = file_of("", INT64_C(9300000000), 0);
	assert_int_equal(entry_stat(fd, NULL, &st), 0);
	assert_true(st.mtime_ns > 0); /* as far as the file system goes, but not wrapped around */
}

static void
a_name_that_is_not_utf8_goes_in_hex(void **state)
{
	auto_json json_t *o = NULL;
	const struct entry_stat st = { .mode = S_IFDIR | 0755, .size = 4096 };

	(void)state;
	o = entry_json("\xff\xfe", 2, &st);
	assert_string_equal(json_string_value(json_object_get(o, "name_hex")), "fffe");
	assert_null(json_object_get(o, "name"));
	assert_string_equal(json_string_value(json_object_get(o, "type")), "dir");
	assert_int_equal(integer_of(o, "filesize"), 0);
}

static void
links_and_others_are_not_followed(void **state)
{
	struct entry_stat st;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", base, "link"), 0);
	assert_int_equal(mkfifoat(base, "fifo", 0600), 0);
	assert_int_equal(entry_stat(base, "link", &st), 0);
	assert_true(S_ISLNK(st.mode));
	assert_int_equal(entry_stat(base, "fifo", &st), 0);
	assert_true(S_ISFIFO(st.mode));
	assert_int_equal(entry_stat(base, "none", &st), -ENOENT);
}

static void
the_etag_changes_with_content_time_and_file(void **state)
{
	auto_close int fd = file_of("a", 1, 0);
	struct entry_stat st, other;
	char one[ENTRY_ETAG_MAX], two[ENTRY_ETAG_MAX];

	(void)state;
	assert_int_equal(entry_stat(fd, NULL, &st), 0);
	assert_int_equal(entry_stat(base, "file", &other), 0);
	assert_string_equal(entry_etag(&st, one), entry_etag(&other, two));
	for (int i = 0; i < 4; i++) {
		other = st;
		other.size += i == 0;
		other.mtime_ns += i == 1;
		other.inode += i == 2;
		other.birth_ns += i == 3;
		assert_string_not_equal(entry_etag(&st, one), entry_etag(&other, two));
	}
	other = (struct entry_stat){
		.size = UINT64_MAX, .mtime_ns = -1, .inode = UINT64_MAX, .birth_ns = -1
	};
	assert_int_equal(strlen(entry_etag(&other, two)), 4 * 16 + 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_described),
		cmocka_unit_test(times_before_1970_and_beyond_2262_are_told),
		cmocka_unit_test(a_name_that_is_not_utf8_goes_in_hex),
		cmocka_unit_test(links_and_others_are_not_followed),
		cmocka_unit_test(the_etag_changes_with_content_time_and_file),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
