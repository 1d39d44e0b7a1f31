#include "client/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "client/screen.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/num.h"
#include "lib/own.h"

static const uint64_t terminal_usec = 200 * USEC_PER_MSEC, json_usec = USEC_PER_SEC;

static unsigned
percent_of(struct progress_item *item)
{
	unsigned now = 100;

	if (item->done < item->all)
		now = (unsigned)((double)item->done / (double)item->all * 100.0);
	if (now > item->percent)
		item->percent = now;
	return item->percent;
}

/* What stands at the right: how far, how fast, how long. */
static void
format_facts(char *dst, size_t size, struct progress_item *item, const struct progress_facts *f)
{
	char done[NUM_TEXT_MAX], all[NUM_TEXT_MAX], rate[NUM_TEXT_MAX], left[NUM_TEXT_MAX];
	char amount[3 * NUM_TEXT_MAX], end[2 * NUM_TEXT_MAX] = "";
	bool known = item->all != PROGRESS_UNKNOWN;

	(void)num_format_size(item->done, done);
	(void)num_format_size(f->rate, rate);
	if (known)
		(void)snprintf(amount, sizeof(amount), "%3u%%  %s of %s", percent_of(item), done,
			       num_format_size(item->all, all));
	else
		(void)snprintf(amount, sizeof(amount), "%s", done);
	if (f->phase != NULL)
		(void)snprintf(end, sizeof(end), "  %s", f->phase);
	else if (f->stalled_s >= PROGRESS_STALLED_S)
		(void)snprintf(end, sizeof(end), "  stalled %ju s", (uintmax_t)f->stalled_s);
	else if (known && f->rate > 0 && item->done < item->all)
		(void)snprintf(
		    end, sizeof(end), "  ETA %s",
		    num_format_elapsed((uint64_t)((double)(item->all - item->done) /
						  (double)f->rate * (double)USEC_PER_SEC),
				       left));
	(void)snprintf(dst, size, "%s  %s/s%s", amount, rate, end);
}

char *
progress_format(char *dst, size_t size, unsigned width, struct progress_item *item,
		const struct progress_facts *f)
{
	char facts[PROGRESS_LINE_MAX / 2], label[PROGRESS_LINE_MAX / 2];
	unsigned used;

	format_facts(facts, sizeof(facts), item, f);
	if (f->files_all > 0)
		(void)snprintf(label, sizeof(label), "%s  %ju of %ju files", f->name,
			       (uintmax_t)f->files, (uintmax_t)f->files_all);
	else if (f->files > 0)
		(void)snprintf(label, sizeof(label), "%s  %ju files", f->name, (uintmax_t)f->files);
	else
		(void)snprintf(label, sizeof(label), "%s", f->name);
	used = (unsigned)strlen(facts) + 2;
	if (used + 8 > width) { /* no room for a name */
		screen_cut(facts, width);
		(void)snprintf(dst, size, "%s", facts);
		return dst;
	}
	used = screen_cut(label, width - used);
	(void)snprintf(dst, size, "%s%*s%s", label, (int)(width - used - (unsigned)strlen(facts)),
		       "", facts);
	return dst;
}

static void
clear(struct progress *p)
{
	for (; p->drawn > 0; p->drawn--)
		(void)fputs(p->drawn > 1 ? "\r\033[K\033[A" : "\r\033[K", stderr);
	(void)fflush(stderr);
}

static void
draw(struct progress *p)
{
	struct progress_facts facts = { .name = p->name, .phase = p->phase };
	uint64_t now = clock_usec();
	char line[PROGRESS_LINE_MAX];
	unsigned width = screen_width() - 1;

	clear(p);
	facts.rate = rate_get(&p->rate, now);
	facts.stalled_s = (now - p->moved_usec) / USEC_PER_SEC;
	if (p->name[0] != '\0') {
		(void)fputs(progress_format(line, sizeof(line), width, &p->file, &facts), stderr);
		p->drawn = 1;
	}
	if (p->files > 1 || p->files_all > 1) {
		facts.name = "total";
		facts.files = p->files;
		facts.files_all = p->files_all;
		(void)fprintf(stderr, "%s%s", p->drawn > 0 ? "\n" : "",
			      progress_format(line, sizeof(line), width, &p->total, &facts));
		p->drawn++;
	}
	(void)fflush(stderr);
}

static void
tell(struct progress *p)
{
	auto_json json_t *o = NULL;

	o = json_pack("{s:i, s:s, s:s, s:I, s:I, s:I}", "v", 1, "ev", "progress", "name", p->name,
		      "bytes", (json_int_t)p->total.done, "files", (json_int_t)p->files, "rate",
		      (json_int_t)rate_get(&p->rate, clock_usec()));
	if (o == NULL)
		return;
	if (p->total.all != PROGRESS_UNKNOWN)
		(void)json_object_set_new(o, "total", json_integer((json_int_t)p->total.all));
	if (p->phase != NULL)
		(void)json_object_set_new(o, "phase", json_string(p->phase));
	(void)json_dumpf(o, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

static struct timespec
from_now(uint64_t usec)
{
	uint64_t at = clock_usec() + usec;

	return (struct timespec){ .tv_sec = (time_t)(at / USEC_PER_SEC),
				  .tv_nsec = (long)(at % USEC_PER_SEC * NSEC_PER_USEC) };
}

static void *
run(void *userdata)
{
	struct progress *p = userdata;
	uint64_t every = p->kind == PROGRESS_TERMINAL ? terminal_usec : json_usec;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		struct timespec until = from_now(every);

		if (pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT || p->ending)
			continue;
		if (p->files == 0 && p->phase == NULL)
			continue;
		if (p->kind == PROGRESS_TERMINAL)
			draw(p);
		else
			tell(p);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are for the thread that works. */
static int
start(struct progress *p)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->thread, NULL, run, p);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int
progress_init(struct progress *p, enum progress_kind kind)
{
	pthread_condattr_t attributes;
	uint64_t now = clock_usec();
	int r;

	*p = (struct progress){ .kind = kind,
				.moved_usec = now,
				.file.all = PROGRESS_UNKNOWN,
				.total.all = PROGRESS_UNKNOWN };
	rate_init(&p->rate, now);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (kind == PROGRESS_NONE)
		return 0;
	r = start(p);
	p->running = r == 0;
	return r;
}

void
progress_done(struct progress *p)
{
	if (p->running) {
		(void)pthread_mutex_lock(&p->lock);
		p->ending = true;
		(void)pthread_cond_signal(&p->wake);
		(void)pthread_mutex_unlock(&p->lock);
		(void)pthread_join(p->thread, NULL);
		p->running = false;
	}
	clear(p);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_mutex_destroy(&p->lock);
}

void
progress_lock(struct progress *p)
{
	(void)pthread_mutex_lock(&p->lock);
	clear(p);
}

void
progress_unlock(struct progress *p)
{
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_expect(struct progress *p, uint64_t bytes, uint64_t files)
{
	(void)pthread_mutex_lock(&p->lock);
	p->total.all = bytes;
	p->files_all = files;
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_file(struct progress *p, const char *name, uint64_t size, uint64_t held)
{
	(void)pthread_mutex_lock(&p->lock);
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->file = (struct progress_item){ .done = held, .all = size };
	p->total.done += held;
	p->files++;
	p->phase = NULL;
	p->moved_usec = clock_usec();
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_moved(struct progress *p, uint64_t n)
{
	uint64_t now = clock_usec();

	(void)pthread_mutex_lock(&p->lock);
	p->file.done += n;
	p->total.done += n;
	p->moved_usec = now;
	rate_add(&p->rate, now, n);
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_phase(struct progress *p, const char *phase)
{
	(void)pthread_mutex_lock(&p->lock);
	p->phase = phase;
	(void)pthread_mutex_unlock(&p->lock);
}

void
progress_at(struct progress *p, uint64_t done)
{
	(void)pthread_mutex_lock(&p->lock);
	p->total.done = p->total.done - p->file.done + done;
	p->file.done = done;
	(void)pthread_mutex_unlock(&p->lock);
}
