#include "daemon/supervisor/houses.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/common/role.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/sessions.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

#define REPLACE_PAUSE (5 * USEC_PER_SEC)
#define READY_TIMEOUT (10 * USEC_PER_SEC)

struct house {
	struct supervisor *sup;
	struct house_pair *pair; /* while it is not current */
	enum house_kind kind;
	uint64_t serial; /* tells which house an unanswered birth waits for */
	pid_t pid;
	int sock;
	bool ready;
	sd_event_source *io, *child;
	uint64_t started_usec;
};

struct house_pair {
	struct supervisor *sup;
	struct house *house[HOUSE_KINDS];
	sd_event_source *timeout;
	void (*decided)(struct supervisor *sup, struct house_pair *pair, int error);
};

static const char *const house_names[HOUSE_KINDS] = { "gatehouse", "sessionhouse" };

/* --- exec */

/* Everything to numbers above those that roles find them at, then down to them. */
static void
place_descriptors(const struct role_start *how, int sock)
{
	const int from[] = { sock,           how->log_fd,     how->config_fd, how->public_fd,
			     how->orders_fd, how->reports_fd, how->extra_fd };
	int high[ARRAY_SIZE(from)];

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, ROLE_FD_EXTRA + 1);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		(void)close(ROLE_FD_HOUSE + (int)i);
		if (high[i] >= 0 && dup2(high[i], ROLE_FD_HOUSE + (int)i) < 0)
			_exit(ROLE_EXIT_SETUP);
	}
	(void)syscall(SYS_close_range, ROLE_FD_EXTRA + 1, ~0U, 0);
}

/* A role's words go through the log socket; only a sanitizer's report needs a stderr. */
static void
silence(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(ROLE_EXIT_SETUP);
#ifndef WITH_SANITIZERS
	if (dup2(null, STDERR_FILENO) < 0)
		_exit(ROLE_EXIT_SETUP);
#endif
	if (null > STDERR_FILENO)
		(void)close(null);
}

static void __attribute__((noreturn)) exec_role(const struct role_start *how, int sock)
{
	char title[] = "ftd", flag[] = "--role";
	char name[32];
	char *argv[] = { title, flag, name, NULL };

	(void)snprintf(name, sizeof(name), "%s", how->name);
	silence();
	place_descriptors(how, sock);
	role_reset_signals();
	(void)
	    setsid(); /* a terminal's signals are for the supervisor, which then ends us in order */
	if (how->nice != 0)
		(void)setpriority(PRIO_PROCESS, 0, how->nice);
	(void)execv("/proc/self/exe", argv);
	_exit(ROLE_EXIT_SETUP);
}

int
role_start(const struct role_start *how, pid_t *ret_pid, int *ret_sock)
{
	auto_close int ours = -1;
	auto_close int theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	if (io_set_nonblock(ours, 1) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_role(how, theirs);
	*ret_pid = pid;
	*ret_sock = take_fd(&ours);
	return 0;
}

int
houses_seal_config(const struct config *c)
{
	auto_close int fd = memfd_create("ftd.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_full(fd, c, sizeof(*c));
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(&fd);
}

/* --- one house */

static struct house *
house_free(struct house *h)
{
	if (h == NULL)
		return NULL;
	(void)sd_event_source_disable_unref(h->io);
	(void)sd_event_source_disable_unref(h->child);
	close_fd(&h->sock);
	free(h);
	return NULL;
}

static void
pair_decide(struct house_pair *p, int error)
{
	p->timeout = sd_event_source_disable_unref(p->timeout);
	p->decided(p->sup, p, error);
}

static void
house_is_ready(struct house *h)
{
	struct house_pair *p = h->pair;

	h->ready = true;
	if (p != NULL && p->house[HOUSE_GATE]->ready && p->house[HOUSE_SESSION]->ready)
		pair_decide(p, 0);
}

static void
house_said(struct house *h, const struct packet_house *m)
{
	int r = m->type == HOUSE_BORN ? 0 : m->error;

	if (m->type == HOUSE_READY)
		house_is_ready(h);
	else if (h->kind == HOUSE_GATE)
		gates_born(h->sup, m->connection, r == 0 ? m->pid : 0);
	else
		sessions_born(h->sup, m->connection, r == 0 ? m->pid : 0);
}

/* 1: one packet was taken; 0: there is none now, or never again. */
static int
house_listen(struct house *h)
{
	struct packet_house m;
	ssize_t n;

	if (h->sock < 0)
		return 0;
	n = io_recv_packet(h->sock, &m, sizeof(m), NULL, 0, NULL, MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(m)) {
		house_said(h, &m);
		return 1;
	}
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	/* it has ended, or speaks nonsense; its death is told by on_house_death() */
	h->io = sd_event_source_disable_unref(h->io);
	close_fd(&h->sock);
	return 0;
}

static int
on_house_packet(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)house_listen(userdata);
	return 0;
}

void
houses_listen(struct supervisor *sup)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		while (sup->houses[kind] != NULL && house_listen(sup->houses[kind]) > 0)
			;
}

/* What it said before it died still counts; births that it never answered have failed. */
static void
last_words(struct house *h)
{
	while (house_listen(h) > 0)
		;
	if (h->kind == HOUSE_GATE)
		gates_house_gone(h->sup, h->serial);
	else
		sessions_house_gone(h->sup, h->serial);
}

static int
on_house_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct house *h = userdata;
	struct supervisor *sup = h->sup;
	enum house_kind kind = h->kind;

	(void)source;
	if (h->pair != NULL) {
		log_line(LOG_ERR, "%s did not start (%s %d)", house_names[kind],
			 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
		pair_decide(h->pair, -ECHILD);
		house_free(h);
		return 0;
	}
	last_words(h);
	if (sup->houses[kind] != h) { /* a former one, told to end */
		house_free(h);
		return 0;
	}
	log_line(LOG_ERR, "%s died (%s %d), starting another", house_names[kind],
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	sup->houses[kind] = house_free(h);
	houses_crashed(sup, kind);
	return 0;
}

static int
house_start(struct supervisor *sup, enum house_kind kind, int config_fd, struct house **ret)
{
	static uint64_t serial;
	const struct role_start how = {
		.name = house_names[kind],
		.config_fd = config_fd,
		.public_fd = sup->boards.public_ro_fd,
		.orders_fd = kind == HOUSE_SESSION ? sup->boards.orders_ro_fd : -1,
		.reports_fd = kind == HOUSE_SESSION ? sup->boards.reports_fd : -1,
		.extra_fd = -1,
		.log_fd = journal_role_fd(sup->journal),
	};
	struct house *h = calloc(1, sizeof(*h));
	int r;

	if (h == NULL)
		return -ENOMEM;
	*h = (struct house){
		.sup = sup,
		.kind = kind,
		.serial = ++serial,
		.sock = -1,
		.started_usec = clock_usec(),
	};
	r = role_start(&how, &h->pid, &h->sock);
	if (r >= 0)
		r = sd_event_add_child(sup->event, &h->child, h->pid, WEXITED, on_house_death, h);
	if (r >= 0)
		r = sd_event_add_io(sup->event, &h->io, h->sock, EPOLLIN, on_house_packet, h);
	if (r < 0) {
		house_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

/* The end of what we send tells it to go, after it has answered what waits; on_house_death() frees
 * it. */
static void
house_dismiss(struct house *h)
{
	if (h == NULL)
		return;
	h->pair = NULL;
	if (h->sock >= 0)
		(void)shutdown(h->sock, SHUT_WR);
}

/* --- pairs */

static int
on_pair_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	log_line(LOG_ERR, "the houses were not ready in time");
	pair_decide(userdata, -ETIMEDOUT);
	return 0;
}

int
houses_start(struct supervisor *sup, const struct config *c,
	     void (*decided)(struct supervisor *sup, struct house_pair *pair, int error),
	     struct house_pair **ret)
{
	auto_close int config_fd = houses_seal_config(c);
	struct house_pair *p;
	int r = 0;

	if (config_fd < 0)
		return config_fd;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->sup = sup;
	p->decided = decided;
	for (int kind = 0; kind < HOUSE_KINDS && r >= 0; kind++) {
		r = house_start(sup, (enum house_kind)kind, config_fd, &p->house[kind]);
		if (r >= 0)
			p->house[kind]->pair = p;
	}
	if (r >= 0)
		r = sd_event_add_time_relative(sup->event, &p->timeout, CLOCK_MONOTONIC,
					       READY_TIMEOUT, 0, on_pair_timeout, p);
	if (r < 0) {
		houses_drop(p);
		return r;
	}
	*ret = p;
	return 0;
}

void
houses_adopt(struct supervisor *sup, struct house_pair *pair)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++) {
		house_dismiss(sup->houses[kind]);
		sup->houses[kind] = pair->house[kind];
		sup->houses[kind]->pair = NULL;
	}
	free(pair);
}

void
houses_drop(struct house_pair *pair)
{
	(void)sd_event_source_disable_unref(pair->timeout);
	for (int kind = 0; kind < HOUSE_KINDS; kind++)
		house_dismiss(pair->house[kind]);
	free(pair);
}

void
houses_stop(struct supervisor *sup)
{
	for (int kind = 0; kind < HOUSE_KINDS; kind++) {
		house_dismiss(sup->houses[kind]);
		sup->houses[kind] = NULL;
	}
}

int
houses_birth(struct supervisor *sup, enum house_kind kind, const struct packet_birth *birth,
	     int connection, int privilege, uint64_t *ret_house)
{
	const struct house *h = sup->houses[kind];
	const int fds[] = { connection, privilege };
	int r;

	if (h == NULL || h->sock < 0)
		return -ENOTCONN;
	r = io_send_packet(h->sock, birth, sizeof(*birth), fds, ARRAY_SIZE(fds), MSG_DONTWAIT);
	if (r < 0)
		return r;
	*ret_house = h->serial;
	return 0;
}

/* --- replacement */

static int
on_replace(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct house *gone = userdata;
	struct supervisor *sup = gone->sup;
	enum house_kind kind = gone->kind;

	(void)usec;
	(void)source;
	house_free(gone);
	houses_crashed(sup, kind);
	return 0;
}

/* One place of a house that is yet to come: its timer. */
static void
replace_later(struct supervisor *sup, enum house_kind kind, uint64_t usec)
{
	struct house *placeholder = calloc(1, sizeof(*placeholder));

	if (placeholder == NULL)
		return;
	placeholder->sup = sup;
	placeholder->kind = kind;
	placeholder->sock = -1;
	if (sd_event_add_time_relative(sup->event, &placeholder->io, CLOCK_MONOTONIC, usec, 0,
				       on_replace, placeholder) < 0)
		house_free(placeholder);
}

void
houses_crashed(struct supervisor *sup, enum house_kind kind)
{
	static uint64_t last[HOUSE_KINDS];
	auto_close int config_fd = -1;
	struct house *fresh = NULL;
	uint64_t now = clock_usec();
	int r;

	if (sup->draining)
		return;
	if (last[kind] != 0 && now - last[kind] < REPLACE_PAUSE) {
		if (sup->houses[kind] == NULL)
			replace_later(sup, kind, REPLACE_PAUSE - (now - last[kind]));
		return;
	}
	last[kind] = now;
	config_fd = houses_seal_config(sup->config);
	r = config_fd < 0 ? config_fd : house_start(sup, kind, config_fd, &fresh);
	if (r < 0) {
		log_line(LOG_ERR, "cannot start another %s, trying again: %s", house_names[kind],
			 strerror(-r));
		if (sup->houses[kind] == NULL)
			replace_later(sup, kind, REPLACE_PAUSE);
		return;
	}
	house_dismiss(sup->houses[kind]);
	sup->houses[kind] = fresh;
}
