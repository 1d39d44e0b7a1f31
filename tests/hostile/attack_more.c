/* Attempts of more than one call: bytes of the test's choice to whoever takes some, and hunger. */
#include "tests/hostile/attack.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/common/board.h"
#include "daemon/common/packet.h"
#include "lib/clock.h"
#include "lib/own.h"
#include "lib/text.h"

enum { BYTES_MAX = 16384, ANSWER_MS = 2000, CROWD_STACK = 16384, DESCRIPTORS = 4096 };

static uint64_t
number(json_t *request, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(request, key));
}

/* The bytes that the test wrote in hex. */
static size_t
bytes_of(json_t *request, uint8_t *dst)
{
	const char *hex = json_string_value(json_object_get(request, "hex"));
	int n = hex != NULL ? text_unhex(dst, BYTES_MAX, hex, strlen(hex)) : 0;

	return n > 0 ? (size_t)n : 0;
}

/* With as many copies of a descriptor as are asked for. */
static long
send_packet(int fd, uint8_t *data, size_t len, size_t descriptors, int descriptor)
{
	union {
		char bytes[CMSG_SPACE(250 * sizeof(int))];
		struct cmsghdr first;
	} control = { 0 };
	struct iovec part = { .iov_base = data, .iov_len = len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

	if (descriptors == 0)
		return send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (descriptors <= 250) {
		control.first = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(descriptors * sizeof(int)) };
		for (size_t i = 0; i < descriptors; i++)
			memcpy(CMSG_DATA(&control.first) + i * sizeof(int), &descriptor,
			       sizeof(int));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
	}
	return syscall(SYS_sendmsg, fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* To the supervisor, "times" times; then its answer in hex, "" without one. "wait": false: what has
 * come by then; "leave": true: it ends then. */
json_t *
attack_packet(json_t *request, const struct aim *a)
{
	struct pollfd p = { .fd = a->privilege, .events = POLLIN };
	uint64_t times = number(request, "times"), sent = 0;
	uint8_t data[BYTES_MAX], answer[512];
	char hex[2 * sizeof(answer) + 1] = "";
	size_t len = bytes_of(request, data);
	ssize_t n = -1;

	for (uint64_t i = 0; i < times; i++)
		sent += send_packet(a->privilege, data, len, number(request, "descriptors"),
				    a->connection) >= 0;
	if (poll(&p, 1, json_is_false(json_object_get(request, "wait")) ? 100 : ANSWER_MS) > 0)
		n = recv(a->privilege, answer, sizeof(answer), MSG_DONTWAIT);
	if (json_is_true(json_object_get(request, "leave")))
		_exit(0);
	if (n > 0)
		(void)text_hex(hex, answer, (size_t)n);
	return json_pack("{s:I,s:s}", "sent", (json_int_t)sent, "answer", hex);
}

/* To the journal. "seconds": over and over for so long. */
json_t *
attack_log(json_t *request, const struct aim *a)
{
	uint64_t end = clock_usec() + number(request, "seconds") * USEC_PER_SEC, sent = 0;
	uint8_t data[BYTES_MAX];
	size_t len = bytes_of(request, data);
	long r;

	do {
		r = send_packet(ROLE_FD_LOG, data, len, number(request, "descriptors"),
				a->connection);
		sent += r >= 0;
	} while (clock_usec() < end);
	return json_pack("{s:I,s:i}", "sent", (json_int_t)sent, "result", r < 0 ? -errno : 0);
}

/* Into its own page, at "offset". */
json_t *
attack_report(json_t *request, const struct aim *a)
{
	uint8_t data[BYTES_MAX];
	size_t len = bytes_of(request, data), offset = number(request, "offset");

	if (a->report != NULL && offset + len <= BOARD_PAGE)
		memcpy((uint8_t *)a->report + offset, data, len);
	return json_true();
}

/* Those that are open: [[number, kind of socket or 0], …]. */
json_t *
attack_descriptors(json_t *request, const struct aim *a)
{
	json_t *open = json_array();
	int kind;
	socklen_t size;

	(void)request;
	(void)a;
	for (int fd = 0; fd < DESCRIPTORS; fd++) {
		struct pollfd p = { .fd = fd };

		if (poll(&p, 1, 0) < 0 || (p.revents & POLLNVAL))
			continue;
		size = sizeof(kind);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) < 0)
			kind = 0;
		(void)json_array_append_new(open, json_pack("[i,i]", fd, kind));
	}
	return open;
}

/* As much memory as can be had, at most "bytes": how much that was. Given back at once. */
json_t *
attack_hoard(json_t *request, const struct aim *a)
{
	enum { PIECE = 1 << 20, PIECES = 4096 };
	uint64_t most = number(request, "bytes") / PIECE;
	void *piece[PIECES];
	size_t n = 0;

	(void)a;
	while (n < most && n < PIECES) {
		piece[n] =
		    mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece[n] == MAP_FAILED)
			break;
		memset(piece[n++], 1, PIECE);
	}
	for (size_t i = 0; i < n; i++)
		(void)munmap(piece[i], PIECE);
	return json_integer((json_int_t)(n * PIECE));
}

static int
idle(void *unused)
{
	struct pollfd none = { .fd = -1 };

	(void)unused;
	(void)poll(&none, 1, 3000);
	(void)syscall(SYS_exit, 0); /* the thread alone */
	return 0;
}

/* As many threads as can be had, at most "threads": how many that was. They end by themselves. */
json_t *
attack_crowd(json_t *request, const struct aim *a)
{
	uint64_t most = number(request, "threads"), n = 0;
	uint8_t *stacks = mmap(NULL, most * CROWD_STACK, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)a;
	if (stacks == MAP_FAILED)
		return json_integer(0);
	while (n < most && clone(idle, stacks + (n + 1) * CROWD_STACK,
				 CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				     CLONE_SYSVSEM,
				 NULL) >= 0)
		n++;
	return json_integer((json_int_t)n);
}

/* Obeys nobody for "seconds". */
json_t *
attack_hold(json_t *request, const struct aim *a)
{
	uint64_t end = clock_usec() + number(request, "seconds") * USEC_PER_SEC;

	(void)a;
	while (clock_usec() < end)
		(void)sched_yield();
	return json_true();
}
