#include "daemon/supervisor/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/own.h"

/* So long a tracer may keep the end of what it traces to itself. */
#define TRACER_PATIENCE (2 * USEC_PER_SEC)

struct child {
	pid_t pid;
	sd_event_source *source; /* of which this is the userdata */
	sd_event_source *held;   /* a tracer has its end: until when */
	sd_event_child_handler_t ended;
	void *userdata;
};

static void
child_free(void *userdata)
{
	struct child *c = userdata;

	(void)sd_event_source_disable_unref(c->held);
	free(c);
}

/* ---- what was told without it goes when its tracer lets go */

static int
on_released(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	siginfo_t si = { 0 };

	(void)events;
	(void)userdata;
	if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) < 0 || si.si_pid != 0)
		(void)sd_event_source_set_floating(source, false);
	return 0;
}

/* Told of an edge for its end, and of another when it has become ours. */
static int
watch(sd_event *event, sd_event_source **ret, int pidfd, bool own, sd_event_io_handler_t handler,
      void *userdata)
{
	int r = sd_event_add_io(event, ret, pidfd, EPOLLIN | EPOLLET, handler, userdata);

	return r < 0 ? r : sd_event_source_set_io_fd_own(*ret, own);
}

static void
reap_later(const struct child *c)
{
	auto_close int fd = fcntl(sd_event_source_get_io_fd(c->source), F_DUPFD_CLOEXEC, 0);
	sd_event_source *source = NULL;

	if (fd < 0 ||
	    watch(sd_event_source_get_event(c->source), &source, fd, true, on_released, NULL) < 0)
		return; /* it is reaped at the end of the daemon */
	(void)take_fd(&fd);
	(void)sd_event_source_set_floating(source, true);
	(void)sd_event_source_unref(source);
}

/* ---- */

static int
on_held(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct child *c = userdata;
	siginfo_t si = { .si_signo = SIGCHLD, .si_code = CLD_KILLED };

	(void)source;
	(void)usec;
	si.si_pid = c->pid; /* members of a union: initializers would undo each other */
	si.si_status = SIGKILL;
	log_line(LOG_WARNING, "process %d has ended, and who traces it keeps how to itself",
		 (int)c->pid);
	reap_later(c);
	return c->ended(c->source, &si, c->userdata);
}

static void
hold(struct child *c)
{
	if (c->held == NULL &&
	    sd_event_add_time_relative(sd_event_source_get_event(c->source), &c->held,
				       CLOCK_MONOTONIC, TRACER_PATIENCE, 0, on_held, c) < 0)
		log_line(LOG_ERR, "process %d is traced: no memory for its timer", (int)c->pid);
}

static int
on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct child *c = userdata;
	siginfo_t si = { 0 };
	pid_t pid = c->pid;

	(void)events;
	if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
		return 0;
	if (si.si_pid == 0) {
		hold(c);
		return 0;
	}
	c->held = sd_event_source_disable_unref(c->held);
	(void)c->ended(source, &si, c->userdata); /* which may free c */
	(void)waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG);
	return 0;
}

int
children_add(sd_event *event, sd_event_source **ret, pid_t pid, int pidfd,
	     sd_event_child_handler_t ended, void *userdata)
{
	auto_close int own = pidfd < 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	auto_free struct child *c = NULL;
	int r;

	if (pidfd < 0 && own < 0)
		return -errno;
	c = malloc(sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	*c = (struct child){ .pid = pid, .ended = ended, .userdata = userdata };
	r = watch(event, &c->source, own >= 0 ? own : pidfd, own >= 0, on_end, c);
	if (r < 0)
		return r;
	(void)take_fd(&own);
	(void)sd_event_source_set_destroy_callback(c->source, child_free);
	*ret = c->source;
	(void)take_ptr(c);
	return 0;
}

void
children_signal(sd_event_source *source, int signal)
{
	(void)syscall(SYS_pidfd_send_signal, sd_event_source_get_io_fd(source), signal, NULL, 0);
}
