#include "daemon/supervisor/births.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

/* How long one waits: a client has patience for more, and the gate's deadline runs meanwhile. */
#define PATIENCE (10 * USEC_PER_SEC)
/* A house takes some ten births in that time. A timer, since not only a full socket is in the way:
 * so are too many descriptors that are under way, of which no event tells. */
#define STEP (5 * USEC_PER_MSEC)

struct birth {
	struct birth *next;
	struct packet_birth packet;
	int fds[BIRTH_FDS]; /* owned; -1 */
	uint64_t until_usec;
};

struct births {
	int sock;
	size_t n_fds;
	births_failed *failed;
	void *userdata;
	struct birth *first, *last;
	unsigned n;
	bool finished;
	sd_event_source *timer;
};

static int on_step(sd_event_source *source, uint64_t usec, void *userdata);

struct births *
births_new(sd_event *event, int sock, size_t n_fds, births_failed *failed, void *userdata)
{
	struct births *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	*b =
	    (struct births){ .sock = sock, .n_fds = n_fds, .failed = failed, .userdata = userdata };
	if (sd_event_add_time(event, &b->timer, CLOCK_MONOTONIC, 0, 1, on_step, b) < 0 ||
	    sd_event_source_set_enabled(b->timer, SD_EVENT_OFF) < 0)
		return births_free(b);
	return b;
}

static struct birth *
birth_free(struct birth *one)
{
	for (size_t i = 0; i < BIRTH_FDS; i++)
		close_fd(&one->fds[i]);
	free(one);
	return NULL;
}

/* The first one, which is the caller's from here on. */
static struct birth *
take_first(struct births *b)
{
	struct birth *one = b->first;

	b->first = one->next;
	if (b->first == NULL)
		b->last = NULL;
	b->n--;
	return one;
}

struct births *
births_free(struct births *b)
{
	if (b == NULL)
		return NULL;
	while (b->first != NULL)
		birth_free(take_first(b));
	(void)sd_event_source_disable_unref(b->timer);
	free(b);
	return NULL;
}

/* ---- one waits */

static int
later(struct births *b)
{
	int r = sd_event_source_set_time_relative(b->timer, STEP);

	return r < 0 ? r : sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

static int
copy(const struct births *b, const struct packet_birth *packet, const int *fds, struct birth **ret)
{
	struct birth *one = malloc(sizeof(*one));
	bool whole = true;

	if (one == NULL)
		return -ENOMEM;
	*one = (struct birth){ .packet = *packet, .until_usec = clock_usec() + PATIENCE };
	for (size_t i = 0; i < BIRTH_FDS; i++) {
		one->fds[i] = i < b->n_fds ? fcntl(fds[i], F_DUPFD_CLOEXEC, 0) : -1;
		whole = whole && (i >= b->n_fds || one->fds[i] >= 0);
	}
	if (!whole) {
		birth_free(one);
		return -EMFILE;
	}
	*ret = one;
	return 0;
}

static int
let_wait(struct births *b, const struct packet_birth *packet, const int *fds)
{
	struct birth *one;
	int r;

	if (b->n == BIRTHS_MAX)
		return -EAGAIN;
	r = copy(b, packet, fds, &one);
	if (r < 0)
		return r;
	if (b->last != NULL)
		b->last->next = one;
	else
		b->first = one;
	b->last = one;
	b->n++;
	return later(b);
}

/* ---- out */

static int
send_one(const struct births *b, const struct packet_birth *packet, const int *fds)
{
	int r = io_send_packet(b->sock, packet, sizeof(*packet), fds, b->n_fds, MSG_DONTWAIT);

	return r == -ETOOMANYREFS || r == -ENOBUFS ? -EAGAIN : r;
}

int
births_send(struct births *b, const struct packet_birth *birth, const int *fds)
{
	int r = b->first == NULL ? send_one(b, birth, fds) : -EAGAIN;

	return r == -EAGAIN ? let_wait(b, birth, fds) : r;
}

/* As many as it takes now. */
static int
on_step(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct births *b = userdata;
	struct birth *one;
	int r = 0;

	(void)source;
	(void)usec;
	while (b->first != NULL) {
		one = b->first;
		r = send_one(b, &one->packet, one->fds);
		if (r == -EAGAIN && clock_usec() < one->until_usec)
			break;
		one = take_first(b);
		if (r < 0)
			b->failed(b->userdata, one->packet.connection);
		birth_free(one);
	}
	if (b->first != NULL)
		(void)later(b);
	else if (b->finished)
		(void)shutdown(b->sock, SHUT_WR);
	return 0;
}

void
births_finish(struct births *b)
{
	b->finished = true;
	if (b->first == NULL)
		(void)shutdown(b->sock, SHUT_WR);
}
