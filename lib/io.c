#include "lib/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/own.h"

ssize_t
io_read_full(int fd, void *dst, size_t n)
{
	uint8_t *at = dst;
	size_t done = 0;
	ssize_t r;

	while (done < n) {
		r = read(fd, at + done, n - done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

ssize_t
io_pread_full(int fd, void *dst, size_t n, off_t offset)
{
	uint8_t *at = dst;
	size_t done = 0;
	ssize_t r;

	while (done < n) {
		r = pread(fd, at + done, n - done, offset + (off_t)done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int
io_write_full(int fd, const void *src, size_t n)
{
	const uint8_t *at = src;
	ssize_t r;

	while (n > 0) {
		r = write(fd, at, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

int
io_pwrite_full(int fd, const void *src, size_t n, off_t offset)
{
	const uint8_t *at = src;
	ssize_t r;

	while (n > 0) {
		r = pwrite(fd, at, n, offset);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		at += r;
		offset += r;
		n -= (size_t)r;
	}
	return 0;
}

/* Room for what may come beside a packet, aligned as the kernel wants it. */
union control {
	char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(IO_FDS_MAX * sizeof(int))];
	struct cmsghdr first;
};

int
io_send_packet(int sock, const void *data, size_t len, const int *fds, size_t n_fds, int flags)
{
	struct iovec iov = { .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };
	ssize_t n;

	assert(n_fds <= IO_FDS_MAX);
	memcpy(&iov.iov_base, &data, sizeof(data)); /* sendmsg() only reads it */
	if (n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.first.cmsg_level = SOL_SOCKET;
		control.first.cmsg_type = SCM_RIGHTS;
		control.first.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.first), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

struct received {
	int fds[sizeof(union control) / sizeof(int)]; /* more than asked for: the room decides */
	size_t n_fds;
	bool has_pid;
	pid_t pid;
};

static void
take_control(struct msghdr *msg, struct received *got)
{
	struct ucred peer;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			got->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			assert(got->n_fds <= ARRAY_SIZE(got->fds));
			memcpy(got->fds, CMSG_DATA(c), got->n_fds * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&peer, CMSG_DATA(c), sizeof(peer));
			got->has_pid = true;
			got->pid = peer.pid;
		}
	}
}

/* What is wrong with a packet that came: 0 or -errno. */
static int
check_packet(const struct msghdr *msg, const struct received *got, ssize_t n, size_t n_fds,
	     bool want_pid)
{
	if (msg->msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (msg->msg_flags & MSG_CTRUNC || got->n_fds > n_fds)
		return -EPROTO;
	if (want_pid && n > 0 && !got->has_pid)
		return -EPROTO;
	return 0;
}

ssize_t
io_recv_packet(int sock, void *data, size_t size, int *ret_fds, size_t n_fds, pid_t *ret_pid,
	       int flags)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };
	struct received got = { 0 };
	ssize_t n;
	int r;

	assert(n_fds <= IO_FDS_MAX);
	if (n_fds > 0)
		msg.msg_controllen += CMSG_SPACE(n_fds * sizeof(int));
	if (ret_pid != NULL)
		msg.msg_controllen += CMSG_SPACE(sizeof(struct ucred));
	if (msg.msg_controllen > 0)
		msg.msg_control = control.bytes;
	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_control(&msg, &got);
	r = check_packet(&msg, &got, n, n_fds, ret_pid != NULL);
	if (r < 0) {
		for (size_t i = 0; i < got.n_fds; i++)
			close_fd(&got.fds[i]);
		return r;
	}
	for (size_t i = 0; i < n_fds; i++)
		ret_fds[i] = i < got.n_fds ? got.fds[i] : -1;
	if (ret_pid != NULL && got.has_pid)
		*ret_pid = got.pid;
	return n;
}

int
io_set_nonblock(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

/* All that fd holds, at most max bytes. */
static int
read_all(int fd, size_t size, size_t max, char **ret, size_t *ret_len)
{
	auto_free char *text = NULL;
	size_t len = 0;

	for (;;) {
		char *more = realloc(text, size + 1);
		ssize_t n;

		if (more == NULL)
			return -ENOMEM;
		text = more;
		n = io_read_full(fd, text + len, size + 1 - len); /* the one more tells the end */
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len <= size)
			break;
		if (size >= max)
			return -EFBIG;
		size = size > max / 2 ? max : size * 2;
	}
	text[len] = '\0';
	*ret_len = len;
	*ret = take_ptr(text);
	return 0;
}

int
io_read_regular(int fd, size_t max, char **ret, size_t *ret_len)
{
	struct stat st;
	size_t size;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	size = (size_t)st.st_size;
	if (size < 4096) /* files of the kernel say 0 and are not */
		size = max < 4096 ? max : 4096;
	return read_all(fd, size, max, ret, ret_len);
}

int
io_read_file(int dir, const char *name, size_t max, char **ret, size_t *ret_len)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : io_read_regular(fd, max, ret, ret_len);
}

/* Makes "name.<random>" and fills it: its descriptor or -errno. */
static int
fill_beside(int dir, const char *beside, const void *data, size_t len, mode_t mode)
{
	auto_close int fd = -1;
	int r;

	fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, data, len);
	if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, beside, 0);
	return r;
}

int
io_replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	char beside[PATH_MAX];
	uint64_t salt;
	int n, r;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	n = snprintf(beside, sizeof(beside), "%s.%016llx", name, (unsigned long long)salt);
	if (n < 0 || (size_t)n >= sizeof(beside))
		return -ENAMETOOLONG;
	r = fill_beside(dir, beside, data, len, mode);
	if (r < 0)
		return r;
	if (renameat(dir, beside, dir, name) < 0) {
		r = -errno;
		(void)unlinkat(dir, beside, 0);
	}
	return r;
}
