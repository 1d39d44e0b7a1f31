/* Descriptors: whole reads and writes, packets with descriptors. No logging. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads up to n bytes, fewer only at the end of the file. Bytes read, or -errno. */
ssize_t io_read_full(int fd, void *dst, size_t n);

/* The same from a place in it. */
ssize_t io_pread_full(int fd, void *dst, size_t n, off_t at);

/* Writes all n bytes or fails: 0 or -errno. */
int io_write_full(int fd, const void *src, size_t n);
int io_pwrite_full(int fd, const void *src, size_t n, off_t at);

/* One packet with up to IO_FDS_MAX descriptors (borrowed) over an AF_UNIX socket.
 * Never raises SIGPIPE. 0, -EAGAIN, -errno. flags: MSG_DONTWAIT or 0. */
enum { IO_FDS_MAX = 4 };
int io_send_packet(int sock, const void *data, size_t len, const int *fds, size_t n_fds, int flags);

/* One packet; at most n_fds descriptors (0: none; any that come are closed and it is -EPROTO).
 * ret_fds gets -1 where none came; they are close-on-exec and the caller's. ret_pid may be NULL
 * (else the socket has SO_PASSCRED; the sender's pid as the kernel says). Bytes read, 0 at the end,
 * -EMSGSIZE when the packet was larger than size, -EAGAIN, -EPROTO, -errno. */
ssize_t io_recv_packet(int sock, void *data, size_t size, int *ret_fds, size_t n_fds,
		       pid_t *ret_pid, int flags);

/* Adds or takes away O_NONBLOCK. 0 or -errno. */
int io_set_nonblock(int fd, int on);

/* Reads a whole regular file of at most max bytes; NUL-terminated, the caller frees.
 * -EFBIG where it is larger, -EINVAL where it is no regular file, -errno. */
int io_read_file(int dir, const char *name, size_t max, char **ret, size_t *ret_len);

/* The same of a regular file that is open, from where it stands. */
int io_read_regular(int fd, size_t max, char **ret, size_t *ret_len);

/* Writes name beside itself, syncs and renames it, so that readers see the old or the new content.
 * 0 or -errno. */
int io_replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode);
