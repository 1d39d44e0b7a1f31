#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static int pair[2], dir;

static int
set_up(void **state)
{
	(void)state;
	dir = scratch_make();
	return dir < 0 ? -1 : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int
tear_down(void **state)
{
	(void)state;
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	close_fd(&dir);
	scratch_remove();
	return 0;
}

/* How many descriptors are open. */
static int
open_fds(void)
{
	auto_dir DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	return n;
}

static void
packets_carry_descriptors(void **state)
{
	int fds[2] = { pair[0], dir }, got[3], n_open;
	struct stat a, b;
	char data[8];

	(void)state;
	assert_int_equal(io_send_packet(pair[0], "hello", 5, fds, 2, 0), 0);
	n_open = open_fds();
	assert_int_equal(io_recv_packet(pair[1], data, sizeof(data), got, 3, NULL, 0), 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(open_fds(), n_open + 2);
	assert_int_equal(got[2], -1);
	assert_int_equal(fstat(dir, &a), 0);
	assert_int_equal(fstat(got[1], &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	close_fd(&got[0]);
	close_fd(&got[1]);
}

/* More descriptors than asked for, however the kernel cuts them: refused, and none stays open. */
static void
unexpected_descriptors_are_refused(void **state)
{
	int fds[IO_FDS_MAX] = { dir, dir, dir, dir }, n_open = open_fds();
	char data[8];

	(void)state;
	for (size_t sent = 1; sent <= IO_FDS_MAX; sent++)
		for (size_t wanted = 0; wanted < sent; wanted++) {
			int got[IO_FDS_MAX] = { 77, 77, 77, 77 };

			assert_int_equal(io_send_packet(pair[0], "x", 1, fds, sent, 0), 0);
			assert_int_equal(
			    io_recv_packet(pair[1], data, sizeof(data), got, wanted, NULL, 0),
			    -EPROTO);
			assert_int_equal(got[0], 77);
			assert_int_equal(open_fds(), n_open);
		}
}

static void
packets_have_limits(void **state)
{
	int fds[1] = { dir }, got[1], n_open = open_fds();
	char data[4];

	(void)state;
	assert_int_equal(io_recv_packet(pair[1], data, 4, NULL, 0, NULL, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(io_send_packet(pair[0], "12345", 5, fds, 1, 0), 0);
	assert_int_equal(io_recv_packet(pair[1], data, 4, got, 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(open_fds(), n_open);
	assert_int_equal(io_send_packet(pair[0], "1234", 4, NULL, 0, 0), 0);
	assert_int_equal(io_recv_packet(pair[1], data, 4, got, 1, NULL, 0), 4);
	assert_int_equal(got[0], -1);
	close_fd(&pair[0]);
	assert_int_equal(io_recv_packet(pair[1], data, 4, NULL, 0, NULL, 0), 0);
	assert_int_equal(io_send_packet(pair[1], "x", 1, NULL, 0, 0), -EPIPE); /* and no SIGPIPE */
}

static void
packets_tell_the_sender(void **state)
{
	int on = 1, fds[1] = { dir }, got[1];
	pid_t pid = 0;
	char data[4];

	(void)state;
	assert_int_equal(io_send_packet(pair[0], "x", 1, NULL, 0, 0), 0);
	assert_int_equal(io_recv_packet(pair[1], data, 4, NULL, 0, &pid, 0), -EPROTO);
	assert_int_equal(pid, 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(io_send_packet(pair[0], "x", 1, fds, 1, 0), 0);
	assert_int_equal(io_recv_packet(pair[1], data, 4, got, 1, &pid, 0), 1);
	assert_int_equal(pid, getpid());
	close_fd(&got[0]);
}

/* Room that was meant for the sender's pid takes descriptors too. */
static void
a_crowd_of_descriptors_is_refused(void **state)
{
	enum { CROWD = 14 };
	union {
		char bytes[CMSG_SPACE(CROWD * sizeof(int))];
		struct cmsghdr header;
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(CROWD * sizeof(int)) } };
	char data[4] = "x";
	struct iovec iov = { .iov_base = data, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fds[CROWD], got[IO_FDS_MAX], n_open = open_fds();
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < CROWD; i++)
		fds[i] = dir;
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	for (size_t wanted = 0; wanted <= IO_FDS_MAX; wanted++) {
		assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
		assert_int_equal(io_recv_packet(pair[1], data, 4, got, wanted, &pid, 0), -EPROTO);
		assert_int_equal(open_fds(), n_open);
	}
}

static void
a_full_socket_is_eagain(void **state)
{
	int r = 0;

	(void)state;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = io_send_packet(pair[0], "x", 1, NULL, 0, MSG_DONTWAIT);
	assert_int_equal(r, -EAGAIN);
}

static void
whole_reads_and_writes(void **state)
{
	auto_close int fd = openat(dir, "file", O_RDWR | O_CREAT, 0600);
	char buf[16];

	(void)state;
	assert_int_equal(io_write_full(fd, "0123456789", 10), 0);
	assert_int_equal(io_pwrite_full(fd, "abc", 3, 4), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_full(fd, buf, sizeof(buf)), 10);
	assert_memory_equal(buf, "0123abc789", 10);
	assert_int_equal(io_read_full(fd, buf, sizeof(buf)), 0);
	assert_int_equal(io_read_full(-1, buf, 1), -EBADF);
	assert_int_equal(io_write_full(-1, buf, 1), -EBADF);
	assert_int_equal(io_pwrite_full(-1, buf, 1, 0), -EBADF);
	assert_int_equal(io_pread_full(fd, buf, 3, 4), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(io_pread_full(fd, buf, 8, 7), 3);
	assert_int_equal(io_pread_full(fd, buf, 8, 10), 0);
	assert_int_equal(io_pread_full(-1, buf, 1, 0), -EBADF);
	assert_int_equal(io_set_nonblock(fd, 1), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(io_set_nonblock(fd, 0), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	assert_int_equal(io_set_nonblock(-1, 1), -EBADF);
}

static void
files_are_read_up_to_the_maximum(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 20000 };
	auto_free char *data = malloc(20000);

	(void)state;
	assert_non_null(data);
	memset(data, 'z', 20000);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *text = NULL;
		char *none = NULL;
		size_t len = 4711;

		assert_int_equal(io_replace_file(dir, "f", data, sizes[i], 0600), 0);
		assert_int_equal(io_read_file(dir, "f", 20000, &text, &len), 0);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(text, data, len);
		assert_int_equal(text[len], '\0');
		if (sizes[i] > 0)
			assert_int_equal(io_read_file(dir, "f", sizes[i] - 1, &none, &len), -EFBIG);
		assert_null(none);
	}
}

static void
odd_files_are_no_trap(void **state)
{
	auto_free char *text = NULL;
	char *none = NULL;
	size_t len;

	(void)state;
	/* says it has no bytes, and has some */
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &text, &len), 0);
	assert_true(len > 100);
	assert_int_equal(io_read_file(AT_FDCWD, "/proc/self/status", 20, &none, &len), -EFBIG);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(io_read_file(dir, "fifo", 100, &none, &len), -EINVAL);
	assert_int_equal(io_read_file(dir, ".", 100, &none, &len), -EINVAL);
	assert_int_equal(io_read_file(dir, "none", 100, &none, &len), -ENOENT);
	assert_null(none);
}

static int
entries(void)
{
	auto_dir DIR *d = opendir(scratch_path());
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	return n - 2;
}

static void
replace_is_all_or_nothing(void **state)
{
	auto_free char *text = NULL;
	char name[300];
	struct stat st;
	size_t len;

	(void)state;
	assert_int_equal(io_replace_file(dir, "f", "old", 3, 0600), 0);
	assert_int_equal(io_replace_file(dir, "f", "newer", 5, 0666), 0);
	assert_int_equal(io_read_file(dir, "f", 100, &text, &len), 0);
	assert_string_equal(text, "newer");
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0666); /* whatever the umask */
	assert_int_equal(entries(), 1);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(io_replace_file(dir, "d", "x", 1, 0600), -EISDIR);
	assert_int_equal(io_replace_file(dir, "none/f", "x", 1, 0600), -ENOENT);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(io_replace_file(dir, name, "x", 1, 0600), -ENAMETOOLONG);
	assert_int_equal(entries(), 2); /* nothing is left beside */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_carry_descriptors),
		TEST(unexpected_descriptors_are_refused),
		TEST(packets_have_limits),
		TEST(packets_tell_the_sender),
		TEST(a_crowd_of_descriptors_is_refused),
		TEST(a_full_socket_is_eagain),
		TEST(whole_reads_and_writes),
		TEST(files_are_read_up_to_the_maximum),
		TEST(odd_files_are_no_trap),
		TEST(replace_is_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
