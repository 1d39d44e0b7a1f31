#include "daemon/session/session.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { BEAT_SECONDS = 4, STACK = 64 << 10, TEXT_MAX = 512, ID_TEXT_MAX = 6 * MESSAGE_ID_MAX + 3 };

/* The thread sends frames that the main thread made before, while that is in a call that takes
 * long. It touches nothing else of the session but its sign of life for the supervisor; what it
 * could not send whole the main thread goes on with. */
struct beat {
	pthread_t thread;
	pthread_mutex_t lock; /* held for moments only: nothing that is done under it waits */
	pthread_cond_t changed;
	int fd;
	_Atomic uint64_t *heartbeat; /* of the report */
	bool armed, ends, parked;
	struct timespec due; /* of the next frame */
	size_t len, sent;    /* of the frame; sent > 0: torn */
	uint8_t frame[TEXT_MAX];
};

static struct timespec
seconds_from_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += BEAT_SECONDS;
	return t;
}

static bool
is_due(const struct timespec *due)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec > due->tv_sec || (t.tv_sec == due->tv_sec && t.tv_nsec >= due->tv_nsec);
}

/* A whole frame, or what was left of the one before. A client that does not read needs none. */
static void
say(struct beat *b)
{
	ssize_t n = send(b->fd, b->frame + b->sent, b->len - b->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		b->sent = b->sent + (size_t)n == b->len ? 0 : b->sent + (size_t)n;
	b->due = seconds_from_now();
	atomic_store_explicit(b->heartbeat, clock_usec(), memory_order_relaxed);
}

static void *
beat_thread(void *userdata)
{
	struct beat *b = userdata;

	(void)pthread_mutex_lock(&b->lock);
	while (!b->ends) {
		if (b->armed && is_due(&b->due))
			say(b);
		else if (b->armed || !is_due(&b->due))
			(void)pthread_cond_timedwait(&b->changed, &b->lock, &b->due);
		else {
			b->parked = true;
			(void)pthread_cond_wait(&b->changed, &b->lock);
		}
	}
	(void)pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* The thread takes no signals: the supervisor's poke is for the main thread's wait. */
static int
start_thread(struct beat *b)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	(void)pthread_attr_setstacksize(&attr, STACK);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&b->thread, &attr, beat_thread, b);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

static int
beat_new(const struct session *s, struct beat **ret)
{
	auto_free struct beat *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;
	int r;

	if (b == NULL)
		return -ENOMEM;
	b->fd = s->conn.fd;
	b->heartbeat = &s->report->heartbeat_usec;
	b->due = seconds_from_now();
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&b->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	r = start_thread(b);
	if (r < 0)
		return r;
	*ret = take_ptr(b);
	return 0;
}

/* Made by hand: it is needed for every sync, and sent for few. */
static size_t
make_frame(uint8_t *dst, const struct request *rq, const char *phase)
{
	char id[ID_TEXT_MAX + 1], *text = (char *)dst + FRAME_PREFIX;
	size_t id_len = 0;
	int n;

	if (rq->id != NULL)
		id_len = json_dumpb(rq->id, id, ID_TEXT_MAX, JSON_ENCODE_ANY | JSON_COMPACT);
	if (id_len > ID_TEXT_MAX)
		id_len = 0;
	id[id_len] = '\0';
	n = snprintf(text, TEXT_MAX - FRAME_PREFIX,
		     "{\"status\":\"working\",\"phase\":\"%s\",\"more\":true%s%s}", phase,
		     id_len > 0 ? ",\"id\":" : "", id);
	if (n < 0 || n >= TEXT_MAX - FRAME_PREFIX)
		return 0;
	frame_prefix(dst, (size_t)n);
	return FRAME_PREFIX + (size_t)n;
}

int
beat_begin(struct session *s, const struct request *rq, const char *phase)
{
	struct beat *b;
	size_t len;
	int r;

	/* answers that are still to be read are a sign of life themselves */
	conn_push(s);
	if (!s->hello || s->conn.dead || buf_len(&s->conn.out) > 0)
		return 0;
	if (s->beat == NULL) {
		r = beat_new(s, &s->beat);
		if (r < 0)
			return r;
	}
	b = s->beat;
	len = make_frame(b->frame, rq, phase); /* unarmed: the thread does not look at it */
	if (len == 0)
		return 0;
	(void)pthread_mutex_lock(&b->lock);
	b->len = len;
	b->sent = 0;
	b->armed = true;
	b->due = seconds_from_now();
	if (b->parked)
		(void)pthread_cond_signal(&b->changed);
	b->parked = false;
	(void)pthread_mutex_unlock(&b->lock);
	return 0;
}

void
beat_end(struct session *s)
{
	struct beat *b = s->beat;

	if (b == NULL || !b->armed)
		return;
	(void)pthread_mutex_lock(&b->lock);
	b->armed = false;
	(void)pthread_mutex_unlock(&b->lock);
	/* out was empty, so the rest of a torn frame comes first in it */
	if (b->sent > 0 && buf_append(&s->conn.out, b->frame + b->sent, b->len - b->sent) < 0)
		s->conn.dead = true;
}

void
beat_done(struct session *s)
{
	struct beat *b = s->beat;

	if (b == NULL)
		return;
	(void)pthread_mutex_lock(&b->lock);
	b->ends = true;
	(void)pthread_cond_signal(&b->changed);
	(void)pthread_mutex_unlock(&b->lock);
	(void)pthread_join(b->thread, NULL);
	(void)pthread_mutex_destroy(&b->lock);
	(void)pthread_cond_destroy(&b->changed);
	free(b);
	s->beat = NULL;
}
