#include "client/lanes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "client/interrupt.h"
#include "lib/clock.h"
#include "lib/own.h"

#define LOOK_USEC (100 * USEC_PER_MSEC)

struct lane {
	pthread_t thread;
	bool running;
	struct client *client;
	lanes_fn work;
	void *userdata;
	struct session session;
	int r;
	struct failure failure;
};

/* A session to the same server as the same user; nobody is asked anything again. */
static int
prepare(struct lane *l)
{
	const struct session *first = &l->client->session;
	const struct secret *password = &first->auth.password;

	session_init(&l->session, &l->client->options, &l->client->report);
	l->session.url = first->url;
	l->session.auth.password_from = first->auth.password_from;
	if (password->text == NULL)
		return 0;
	return secret_set(&l->session.auth.password, password->text, password->len);
}

static void *
run(void *userdata)
{
	struct lane *l = userdata;

	if (session_open(&l->session, &l->session.url, &l->failure) < 0)
		report_note(&l->client->report, "one connection less: %s", l->failure.text);
	else
		l->r = l->work(&l->session, l->userdata, &l->failure);
	return NULL;
}

/* Signals are for the thread that waits for the others, which passes the wish to stop on. */
static void
start(struct lane *l)
{
	sigset_t blocked, before;

	(void)sigfillset(&blocked);
	(void)sigdelset(&blocked, SIGALRM);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	l->running = pthread_create(&l->thread, NULL, run, l) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
join(struct lane *l)
{
	struct timespec until;
	uint64_t at;

	do {
		if (interrupt_seen())
			(void)pthread_kill(l->thread, SIGALRM); /* ends what it waits for */
		at = clock_usec() + LOOK_USEC;
		until = (struct timespec){ .tv_sec = (time_t)(at / USEC_PER_SEC),
					   .tv_nsec = (long)(at % USEC_PER_SEC * NSEC_PER_USEC) };
	} while (pthread_clockjoin_np(l->thread, NULL, CLOCK_MONOTONIC, &until) == ETIMEDOUT);
}

/* Of several failures one is told: what stops all, then what would come again. */
static int
weight(int r, const struct failure *f)
{
	if (r == 0)
		return 0;
	if (f->scope == FAILURE_STOP)
		return 3;
	return f->scope == FAILURE_ITEM && !f->again ? 2 : 1;
}

int
lanes_run(struct client *c, unsigned n, lanes_fn work, void *userdata, struct failure *f)
{
	auto_free struct lane *lanes = n > 1 ? calloc(n - 1, sizeof(*lanes)) : NULL;
	int r;

	for (unsigned i = 0; lanes != NULL && i < n - 1; i++) {
		lanes[i] = (struct lane){ .client = c, .work = work, .userdata = userdata };
		if (prepare(&lanes[i]) == 0)
			start(&lanes[i]);
	}
	r = work(&c->session, userdata, f);
	for (unsigned i = 0; lanes != NULL && i < n - 1; i++) {
		struct lane *l = &lanes[i];

		if (l->running)
			join(l);
		session_done(&l->session);
		if (weight(l->r, &l->failure) > weight(r, f)) {
			r = l->r;
			*f = l->failure;
		}
	}
	return r;
}
