#include "client/lanes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "lib/clock.h"
#include "lib/own.h"

enum {
	WORTH_IT = 64 << 20, /* bytes that are worth a second connection */
	RUN_MAX = 64 << 20,
	RUNS_EACH = 4, /* so that all end at about the same time */
};
#define LOOK_USEC (100 * USEC_PER_MSEC)

struct lane {
	struct lanes *all;
	pthread_t thread;
	bool running;
	struct session session;
	int r;
	struct failure failure;
};

/* ---- the work of one */

static bool
take(struct lanes *l, struct blocks_run *ret)
{
	int r;

	(void)pthread_mutex_lock(&l->lock);
	r = l->stop ? 0 : blocks_take(l->blocks, l->run_max, ret);
	(void)pthread_mutex_unlock(&l->lock);
	return r > 0;
}

static bool
may_pass(const struct failure *f)
{
	return f->scope == FAILURE_CONNECTION || f->again;
}

/* What is missing of the run is seen when all is planned anew. Where there are other connections
 * this one is replaced meanwhile. */
static int
replace(struct lanes *l, struct session *s, int r, struct failure *f)
{
	(void)pthread_mutex_lock(&l->lock);
	l->lost = *f;
	(void)pthread_mutex_unlock(&l->lock);
	if (l->n == 1)
		return r;
	return f->scope == FAILURE_CONNECTION ? session_again(s, f) : 0;
}

static int
work(struct lanes *l, struct session *s, struct failure *f)
{
	void *worker = l->ops->begin(s, l->userdata);
	struct blocks_run run;
	int r = worker != NULL ? 0 : failure_connection(f, -ENOMEM);

	while (r == 0 && take(l, &run)) {
		r = l->ops->move(worker, &run, f);
		if (r < 0 && may_pass(f))
			r = replace(l, s, r, f);
	}
	l->ops->end(worker);
	if (r > 0 || (r < 0 && !may_pass(f)))
		l->stop = true;
	return r < 0 ? r : 0;
}

/* ---- those beyond the first */

/* A session to the same server as the same user; nobody is asked anything again. */
static int
prepare(struct lane *l)
{
	struct client *c = l->all->client;
	const struct secret *password = &c->session.auth.password;

	session_init(&l->session, &c->options, &c->report);
	l->session.url = c->session.url;
	l->session.auth.password_from = c->session.auth.password_from;
	if (password->text == NULL)
		return 0;
	return secret_set(&l->session.auth.password, password->text, password->len);
}

static void *
run(void *userdata)
{
	struct lane *l = userdata;

	if (session_open(&l->session, &l->session.url, &l->failure) == 0)
		l->r = work(l->all, &l->session, &l->failure);
	else
		report_note(l->session.report, "one connection less: %s", l->failure.text);
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

/* ---- all */

/* Of several failures one is told: what stops all, then what would come again. */
static int
weight(int r, const struct failure *f)
{
	if (r == 0)
		return 0;
	if (f->scope == FAILURE_STOP)
		return 3;
	return may_pass(f) ? 1 : 2;
}

static int
run_all(struct lanes *l, struct failure *f)
{
	auto_free struct lane *more = l->n > 1 ? calloc(l->n - 1, sizeof(*more)) : NULL;
	int r;

	for (unsigned i = 0; more != NULL && i < l->n - 1; i++) {
		more[i].all = l;
		if (prepare(&more[i]) == 0)
			start(&more[i]);
	}
	r = work(l, &l->client->session, f);
	for (unsigned i = 0; more != NULL && i < l->n - 1; i++) {
		if (more[i].running)
			join(&more[i]);
		session_done(&more[i].session);
		if (weight(more[i].r, &more[i].failure) > weight(r, f)) {
			r = more[i].r;
			*f = more[i].failure;
		}
	}
	return r;
}

/* TLS takes most of a processor at either end: two connections are faster than one where there are
 * two. In plain text one is as fast as several. */
static uint64_t
connections_by_default(const struct client *c)
{
	return c->session.wire.layer != NULL && sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
}

static void
choose(struct lanes *l)
{
	uint64_t left = l->blocks->left, block = l->blocks->block;
	uint64_t n = l->client->options.connections;

	if (n == 0)
		n = connections_by_default(l->client);
	l->n = n > 1 && left >= WORTH_IT ? (unsigned)n : 1;
	l->run_max = UINT64_MAX;
	if (l->n == 1)
		return;
	l->run_max = left / l->n / RUNS_EACH;
	if (l->run_max > RUN_MAX)
		l->run_max = RUN_MAX;
	l->run_max = l->run_max < block ? block : l->run_max / block * block;
}

int
lanes_run(struct lanes *l, struct failure *f)
{
	int r;

	if (l->blocks->left == 0)
		return 0;
	choose(l);
	l->stop = false;
	l->lost = (struct failure){ .status = 0 };
	(void)pthread_mutex_init(&l->lock, NULL);
	r = run_all(l, f);
	(void)pthread_mutex_destroy(&l->lock);
	if (r < 0 || l->lost.code[0] == '\0')
		return r;
	*f = l->lost;
	return -EPROTO;
}
