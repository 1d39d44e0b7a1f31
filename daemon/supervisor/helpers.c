#include "daemon/supervisor/helpers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/questions.h"
#include "daemon/supervisor/spawn.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

#define AGAIN_PAUSE (5 * USEC_PER_SEC)
enum { KEEPER_NICE = 10 };

enum helper_kind { HELPER_KEEPER, HELPER_BEACON, HELPER_KINDS };

struct helper {
	struct supervisor *sup;
	enum helper_kind kind;
	int udp_fd; /* beacon */
	struct process *current;
	sd_event_source *again;
};

/* One run of a helper; it outlives its place when another is started before it has ended. */
struct process {
	struct helper *helper;
	int sock;
	sd_event_source *child, *io;
};

static struct helper helpers[HELPER_KINDS] = {
	[HELPER_KEEPER] = { .kind = HELPER_KEEPER, .udp_fd = -1 },
	[HELPER_BEACON] = { .kind = HELPER_BEACON, .udp_fd = -1 },
};
static const char *const names[HELPER_KINDS] = { "keeper", "beacon" };

static void helper_start(struct helper *h);

static int
on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct helper *h = userdata;

	(void)source;
	(void)usec;
	h->again = sd_event_source_disable_unref(h->again);
	helper_start(h);
	return 0;
}

static void
start_again(struct helper *h, uint64_t pause_usec)
{
	if (sd_event_add_time_relative(h->sup->event, &h->again, CLOCK_MONOTONIC, pause_usec, 0,
				       on_again, h) < 0)
		log_line(LOG_ERR, "the %s stays away: no memory for its timer", names[h->kind]);
}

static void
process_free(struct process *p)
{
	(void)sd_event_source_disable_unref(p->child);
	(void)sd_event_source_disable_unref(p->io);
	close_fd(&p->sock);
	free(p);
}

static int
on_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct process *p = userdata;
	struct helper *h = p->helper;
	bool current = h->current == p;

	(void)source;
	process_free(p);
	if (!current)
		return 0;
	h->current = NULL;
	if (h->kind == HELPER_KEEPER)
		questions_lost(h->sup);
	log_line(LOG_ERR, "the %s ended (%s %d), starting it again", names[h->kind],
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	start_again(h, AGAIN_PAUSE);
	return 0;
}

/* The keeper's word is believed within bounds; the beacon says nothing. */
static int
on_packet(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct process *p = userdata;
	struct packet_kept kept;
	ssize_t n;

	(void)source;
	(void)events;
	n = io_recv_packet(fd, &kept, sizeof(kept), NULL, 0, NULL, MSG_DONTWAIT);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n == (ssize_t)sizeof(kept))
		questions_take(p->helper->sup, &kept);
	else /* it has ended, or speaks nonsense */
		p->io = sd_event_source_disable_unref(p->io);
	return 0;
}

static int
watch(struct process *p, pid_t pid)
{
	sd_event *event = p->helper->sup->event;
	int r = children_add(event, &p->child, pid, -1, on_death, p);

	if (r >= 0 && p->helper->kind == HELPER_KEEPER)
		r = sd_event_add_io(event, &p->io, p->sock, EPOLLIN, on_packet, p);
	return r;
}

static int
helper_exec(struct helper *h)
{
	auto_close int config_fd = spawn_seal_config(h->sup->config);
	const struct spawn how = {
		.name = names[h->kind],
		.config_fd = config_fd,
		.public_fd = h->kind == HELPER_BEACON ? h->sup->boards.public_ro_fd : -1,
		.orders_fd = -1,
		.reports_fd = -1,
		.extra_fd = h->udp_fd,
		.log_fd = journal_role_fd(h->sup->journal),
		.nice = h->kind == HELPER_KEEPER ? KEEPER_NICE : 0,
	};
	struct process *p;
	pid_t pid;
	int r;

	if (config_fd < 0)
		return config_fd;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->helper = h;
	p->sock = -1;
	r = spawn_role(&how, &pid, &p->sock);
	if (r >= 0)
		r = watch(p, pid);
	if (r < 0) {
		process_free(p);
		return r;
	}
	h->current = p;
	return 0;
}

static void
helper_start(struct helper *h)
{
	int r = helper_exec(h);

	if (r == 0)
		return;
	log_line(LOG_ERR, "cannot start the %s, trying again: %s", names[h->kind], strerror(-r));
	start_again(h, AGAIN_PAUSE);
}

/* The end of its socket tells it to go. */
static void
dismiss(struct helper *h)
{
	h->again = sd_event_source_disable_unref(h->again);
	if (h->current != NULL) {
		h->current->io = sd_event_source_disable_unref(h->current->io);
		close_fd(&h->current->sock);
		if (h->kind == HELPER_KEEPER)
			questions_lost(h->sup);
	}
	h->current = NULL;
}

void
helpers_restart(struct supervisor *sup, bool new_udp, int udp_fd)
{
	if (new_udp) {
		close_fd(&helpers[HELPER_BEACON].udp_fd);
		helpers[HELPER_BEACON].udp_fd = udp_fd;
	}
	for (int kind = 0; kind < HELPER_KINDS; kind++) {
		dismiss(&helpers[kind]);
		helpers[kind].sup = sup;
		if (kind == HELPER_KEEPER || helpers[kind].udp_fd >= 0)
			helper_start(&helpers[kind]);
	}
}

void
helpers_start(struct supervisor *sup, int udp_fd)
{
	helpers_restart(sup, true, udp_fd);
}

int
helpers_udp(void)
{
	return helpers[HELPER_BEACON].udp_fd;
}

int
helpers_take_udp(void)
{
	return take_fd(&helpers[HELPER_BEACON].udp_fd);
}

void
helpers_stop(void)
{
	for (int kind = 0; kind < HELPER_KINDS; kind++)
		dismiss(&helpers[kind]);
	close_fd(&helpers[HELPER_BEACON].udp_fd);
}

int
helpers_ask_keeper(const struct packet_keeper *question)
{
	const struct process *keeper = helpers[HELPER_KEEPER].current;

	return keeper == NULL ? -ENOTCONN
			      : io_send_packet(keeper->sock, question, sizeof(*question), NULL, 0,
					       MSG_DONTWAIT);
}

void
helpers_sweep(void)
{
	const struct packet_keeper p = { .type = KEEPER_SWEEP };

	/* a full socket holds enough of these: one sweep serves them all */
	(void)helpers_ask_keeper(&p);
}
