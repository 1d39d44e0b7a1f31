#include "daemon/supervisor/refusals.h"

#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/verdict.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/message.h"
#include "lib/own.h"

/* A ring: they all wait equally long, so the oldest is the next to go. */
static struct {
	int fd;
	uint64_t until_usec;
} ring[REFUSALS_LINGER_MAX];
static unsigned first, count;

static void
close_oldest(void)
{
	close_fd(&ring[first].fd);
	first = (first + 1) % REFUSALS_LINGER_MAX;
	count--;
}

static void
linger(int fd)
{
	unsigned at;

	if (count == REFUSALS_LINGER_MAX)
		close_oldest();
	at = (first + count) % REFUSALS_LINGER_MAX;
	ring[at].fd = fd;
	ring[at].until_usec = clock_usec() + USEC_PER_SEC;
	count++;
}

void
refusals_say(int fd, const struct packet_verdict *v)
{
	auto_close int own = fd;
	auto_json json_t *a = verdict_answer(v);
	struct buf out;

	buf_init(&out, FRAME_PREFIX + FRAME_HEADER_MAX);
	if (a != NULL && message_append(&out, a) == 0 &&
	    send(own, buf_data(&out), buf_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL) > 0 &&
	    shutdown(own, SHUT_WR) == 0)
		linger(take_fd(&own));
	buf_done(&out);
}

void
refusals_tick(void)
{
	uint64_t now = clock_usec();

	while (count > 0 && ring[first].until_usec <= now)
		close_oldest();
}
