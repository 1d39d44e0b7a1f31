/* The gate that was taken over: everything is the daemon's own until a first frame with the key
 * "attack" comes. It is not asked for TLS or login: it does what it is told, frame after frame. */
#include <poll.h>
#include <sys/socket.h>

#include "daemon/gate/gate.h"
#include "lib/frame.h"
#include "lib/message.h"
#include "lib/own.h"
#include "tests/hostile/attack.h"

enum { PATIENCE_MS = 20000 };

int
__real_gate_run(const struct gate_world *world, const struct packet_birth *birth, const int *fds);
int
__wrap_gate_run(const struct gate_world *world, const struct packet_birth *birth, const int *fds);

/* The next frame without taking it; NULL: there is none, or it is no JSON. */
static json_t *
look(int fd, uint8_t *bytes, size_t size, size_t *ret_len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	json_t *object = NULL;
	const char *header;
	size_t len;
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) <= 0)
		return NULL;
	n = recv(fd, bytes, size, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0 || frame_next(bytes, (size_t)n, &header, &len, ret_len) != 1)
		return NULL;
	return message_parse(header, len, &object) == 0 ? object : NULL;
}

static void
answer(int fd, json_t *result)
{
	auto_json json_t *frame = json_pack("{s:s,s:o}", "status", "ok", "attack", result);
	struct buf out;

	buf_init(&out, FRAME_PREFIX + FRAME_HEADER_MAX);
	if (message_append(&out, frame) == 0)
		(void)send(fd, buf_data(&out), buf_len(&out), MSG_NOSIGNAL);
	buf_done(&out);
}

int
__wrap_gate_run(const struct gate_world *world, const struct packet_birth *birth, const int *fds)
{
	struct aim a = { .connection = fds[BIRTH_CONNECTION],
			 .privilege = fds[BIRTH_PRIVILEGE],
			 .inside = -1,
			 .shown = world->public };
	static uint8_t bytes[FRAME_PREFIX + FRAME_HEADER_MAX];
	size_t len;

	for (;;) {
		auto_json json_t *request = look(a.connection, bytes, sizeof(bytes), &len);

		if (request == NULL || json_object_get(request, "attack") == NULL)
			return __real_gate_run(world, birth, fds);
		(void)recv(a.connection, bytes, len, MSG_DONTWAIT);
		answer(a.connection, attack_run(request, &a));
	}
}
