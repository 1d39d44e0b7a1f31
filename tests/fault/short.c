/* A daemon whose sessions never read or write as much as they ask for, and are interrupted at every
 * third call: what disks and networks may do at any time and seldom do. */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/common/packet.h"
#include "daemon/session/session.h"

enum { INTERRUPTED_EVERY = 3, PARTS = 5 };

static bool serving;
static unsigned calls;

void __real_session_serve(struct session *s);
void __wrap_session_serve(struct session *s);
ssize_t __real_pread(int fd, void *dst, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *dst, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *src, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *src, size_t n, off_t at);
ssize_t __real_copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t __wrap_copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t __real_recv(int fd, void *dst, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *dst, size_t n, int flags);
ssize_t __real_send(int fd, const void *src, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *src, size_t n, int flags);

void
__wrap_session_serve(struct session *s)
{
	serving = true;
	__real_session_serve(s);
}

static bool
is_interrupted(void)
{
	errno = EINTR;
	return serving && ++calls % INTERRUPTED_EVERY == 0;
}

/* Another part of n at each call, never nothing. */
static size_t
some(size_t n)
{
	return serving && n > 1 ? n / (2 + calls % PARTS) + 1 : n;
}

ssize_t
__wrap_pread(int fd, void *dst, size_t n, off_t at)
{
	return is_interrupted() ? -1 : __real_pread(fd, dst, some(n), at);
}

ssize_t
__wrap_pwrite(int fd, const void *src, size_t n, off_t at)
{
	return is_interrupted() ? -1 : __real_pwrite(fd, src, some(n), at);
}

ssize_t
__wrap_copy_file_range(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags)
{
	return __real_copy_file_range(in, from, out, to, some(n), flags);
}

ssize_t
__wrap_recv(int fd, void *dst, size_t n, int flags)
{
	return is_interrupted() ? -1 : __real_recv(fd, dst, some(n), flags);
}

/* A record of the log is a datagram. */
ssize_t
__wrap_send(int fd, const void *src, size_t n, int flags)
{
	if (fd == ROLE_FD_LOG)
		return __real_send(fd, src, n, flags);
	return is_interrupted() ? -1 : __real_send(fd, src, some(n), flags);
}
