/* daemon/session/staging.c: where a content waits, and that it is told from an orphan. */
#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/alone.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct session s;
static int root = -1;

static int
begin(void **state)
{
	(void)state;
	root = scratch_make();
	return root < 0 || alone_start(&s, "") != 0 || mkdirat(root, "d", 0755) < 0;
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
place(const char *rest, int dir, struct staging *ret)
{
	struct place p = { .share = 0, .rest = rest };

	return staging_place(&s, &p, dir, 0640, ret);
}

static bool
is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
is_locked(int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	assert_true(fd >= 0);
	return fcntl(fd, F_OFD_SETLK, &l) < 0;
}

static void
in_the_share(void **state)
{
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int ftd = -1;
	struct staging a, b;
	struct stat st;

	(void)state;
	assert_int_equal(place("d/x", dir, &a), 0);
	assert_int_equal(place("d/x", dir, &b), 0);
	ftd = openat(root, ".ftd/staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(ftd >= 0);
	assert_int_equal(fstat(ftd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_string_not_equal(a.name, b.name);
	assert_true(strlen(a.name) > 17 && a.name[16] == '-');
	assert_string_equal(a.marker, "");
	assert_true(is_there(ftd, a.name));
	assert_true(is_locked(ftd, a.name));
	assert_int_equal(fstat(a.fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	staging_discard(&s, &a);
	assert_false(is_there(ftd, b.name) == false);
	staging_discard(&s, &b);
	assert_false(is_there(ftd, b.name));
	staging_discard(&s, &b); /* again does nothing */
}

/* A directory that gives its files something: the file waits there, with a note for keeper. */
static void
in_the_directory_itself(void **state)
{
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int ftd = -1;
	auto_free char *note = NULL;
	char marker[sizeof(((struct staging *)0)->marker)];
	struct staging a;
	size_t len;

	(void)state;
	assert_int_equal(fchmod(dir, 02775), 0);
	assert_int_equal(place("d/x", dir, &a), 0);
	ftd = openat(root, ".ftd/staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(strncmp(a.name, ".ftd-", 5), 0);
	assert_true(is_there(dir, a.name));
	assert_true(is_locked(dir, a.name));
	assert_int_equal(strncmp(a.marker, a.name + 5, strlen(a.name + 5)), 0);
	assert_string_equal(a.marker + strlen(a.name + 5), ".at");
	assert_true(is_locked(ftd, a.marker));
	assert_int_equal(io_read_file(ftd, a.marker, 4096, &note, &len), 0);
	assert_string_equal(note, "d");
	memcpy(marker, a.marker, sizeof(marker));
	staging_discard(&s, &a);
	assert_false(is_there(ftd, marker));
	assert_int_equal(unlinkat(root, "d", AT_REMOVEDIR), 0); /* it is empty again */
}

static void
in_a_directory_with_a_default_acl(void **state)
{
	/* version 2; user::rw- group::r-- mask::r-- other::--- as acl(5) stores it */
	static const unsigned char acl[] = { 2,  0, 0, 0,                     /* */
					     1,  0, 6, 0, 255, 255, 255, 255, /* */
					     4,  0, 4, 0, 255, 255, 255, 255, /* */
					     32, 0, 0, 0, 255, 255, 255, 255 };
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct staging a;

	(void)state;
	if (fsetxattr(dir, "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		skip();
	assert_int_equal(place("d/x", dir, &a), 0);
	assert_int_equal(strncmp(a.name, ".ftd-", 5), 0);
	staging_discard(&s, &a);
}

/* A name that is taken, or that keeper is about to remove, is passed over. */
static void
another_name_where_one_is_taken(void **state)
{
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int ftd = -1;
	struct staging a, b;

	(void)state;
	assert_int_equal(place("d/x", dir, &a), 0);
	ftd = openat(root, ".ftd/staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s.staged--;
	assert_int_equal(place("d/x", dir, &b), 0);
	assert_string_not_equal(a.name, b.name);
	assert_true(is_there(ftd, a.name));
	staging_discard(&s, &a);
	staging_discard(&s, &b);
}

static void
a_share_that_cannot_be_opened(void **state)
{
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct staging a;

	(void)state;
	close_fd(&s.shares[0].root);
	assert_int_equal(place("d/x", dir, &a), -EIO);
}

/* What stands in the way of .ftd/staging is not followed. */
static void
a_link_in_the_way(void **state)
{
	auto_close int dir = openat(root, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct staging a;

	(void)state;
	assert_int_equal(symlinkat("d", root, ".ftd"), 0);
	assert_int_equal(mkdirat(dir, "staging", 0700), 0);
	assert_true(place("d/x", dir, &a) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_the_share),
		TEST(in_the_directory_itself),
		TEST(in_a_directory_with_a_default_acl),
		TEST(another_name_where_one_is_taken),
		TEST(a_share_that_cannot_be_opened),
		TEST(a_link_in_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
