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

/* Oldest first. */
struct list {
	struct birth *first, *last;
	unsigned n;
};

struct births {
	int sock; /* -1: of nobody just now */
	size_t n_fds;
	births_failed *failed;
	void *userdata;
	struct list sent, waiting;
	bool finished;
	sd_event_source *timer;
};

static int on_step(sd_event_source *source, uint64_t usec, void *userdata);

/* ---- lists */

static void
append(struct list *l, struct birth *one)
{
	one->next = NULL;
	if (l->last != NULL)
		l->last->next = one;
	else
		l->first = one;
	l->last = one;
	l->n++;
}

/* The one behind before (NULL: the first), which is the caller's from here on. */
static struct birth *
take(struct list *l, struct birth *before)
{
	struct birth **at = before != NULL ? &before->next : &l->first;
	struct birth *one = *at;

	*at = one->next;
	if (l->last == one)
		l->last = before;
	l->n--;
	return one;
}

static void
move_all(struct list *to, struct list *from)
{
	while (from->first != NULL)
		append(to, take(from, NULL));
}

/* ---- one */

static void
birth_free(struct birth *one)
{
	for (size_t i = 0; i < BIRTH_FDS; i++)
		close_fd(&one->fds[i]);
	free(one);
}

static int
birth_new(const struct births *b, const struct packet_birth *packet, const int *fds,
	  struct birth **ret)
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

static void
fail(const struct births *b, struct birth *one)
{
	b->failed(b->userdata, one->packet.connection);
	birth_free(one);
}

/* ---- all of a house */

struct births *
births_new(sd_event *event, size_t n_fds, births_failed *failed, void *userdata)
{
	struct births *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	*b = (struct births){ .sock = -1, .n_fds = n_fds, .failed = failed, .userdata = userdata };
	if (sd_event_add_time(event, &b->timer, CLOCK_MONOTONIC, 0, 1, on_step, b) < 0 ||
	    sd_event_source_set_enabled(b->timer, SD_EVENT_OFF) < 0)
		return births_free(b);
	return b;
}

void
births_forfeit(struct births *b)
{
	while (b->sent.first != NULL)
		fail(b, take(&b->sent, NULL));
}

struct births *
births_free(struct births *b)
{
	if (b == NULL)
		return NULL;
	births_forfeit(b);
	while (b->waiting.first != NULL)
		fail(b, take(&b->waiting, NULL));
	(void)sd_event_source_disable_unref(b->timer);
	free(b);
	return NULL;
}

static int
later(struct births *b)
{
	int r = sd_event_source_set_time_relative(b->timer, STEP);

	return r < 0 ? r : sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

/* -EAGAIN: not now. That its house is gone is told by its death, and there will be another. */
static int
send_one(const struct births *b, const struct birth *one)
{
	int r = b->sock < 0 ? -EAGAIN
			    : io_send_packet(b->sock, &one->packet, sizeof(one->packet), one->fds,
					     b->n_fds, MSG_DONTWAIT);

	switch (r) {
	case -ETOOMANYREFS:
	case -ENOBUFS:
	case -EPIPE:
	case -ECONNRESET:
	case -ENOTCONN:
		return -EAGAIN;
	default:
		return r;
	}
}

/* As many as it takes now. */
static void
send_all(struct births *b)
{
	struct birth *one;
	int r;

	while (b->waiting.first != NULL) {
		r = send_one(b, b->waiting.first);
		if (r == -EAGAIN && clock_usec() < b->waiting.first->until_usec)
			break;
		one = take(&b->waiting, NULL);
		if (r < 0)
			fail(b, one);
		else
			append(&b->sent, one);
	}
	if (b->waiting.first != NULL)
		(void)later(b);
	else if (b->finished)
		(void)shutdown(b->sock, SHUT_WR);
}

static int
on_step(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	send_all(userdata);
	return 0;
}

void
births_open(struct births *b, int sock)
{
	b->sock = sock;
	send_all(b);
}

void
births_close(struct births *b)
{
	b->sock = -1;
}

void
births_finish(struct births *b)
{
	b->finished = true;
	send_all(b);
}

int
births_send(struct births *b, const struct packet_birth *birth, const int *fds)
{
	struct birth *one;
	int r;

	if (b->waiting.n == BIRTHS_MAX)
		return -EAGAIN;
	r = birth_new(b, birth, fds, &one);
	if (r < 0)
		return r;
	r = b->waiting.first == NULL ? send_one(b, one) : -EAGAIN;
	if (r == -EAGAIN)
		r = b->waiting.first == NULL && later(b) < 0 ? -ENOMEM : 1;
	if (r < 0)
		birth_free(one);
	else
		append(r == 0 ? &b->sent : &b->waiting, one);
	return r < 0 ? r : 0;
}

void
births_answered(struct births *b, uint64_t connection)
{
	struct birth *before = NULL, *one = b->sent.first;

	/* mostly the first: a house answers in order */
	for (; one != NULL && one->packet.connection != connection; one = one->next)
		before = one;
	if (one != NULL)
		birth_free(take(&b->sent, before));
}

void
births_inherit(struct births *b, struct births *former)
{
	struct list all = { .n = 0 };

	move_all(&all, &former->sent);
	move_all(&all, &former->waiting);
	move_all(&all, &b->waiting);
	b->waiting = all;
	send_all(b);
}
