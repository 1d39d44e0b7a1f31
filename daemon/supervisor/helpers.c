#include "daemon/supervisor/helpers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
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
#define END_PATIENCE (5 * USEC_PER_SEC)
enum { KEEPER_NICE = 10, NAME_TEXT = PATH_MAX + 32 };

/* Before the beacon a place for each share: the first of a root has its keeper. */
enum { BEACON = CONFIG_SHARES_MAX, HELPERS };

struct helper {
	struct supervisor *sup;
	struct process *current;
	sd_event_source *again;
};

/* One run of a helper; it outlives its place when another is started before it has ended. */
struct process {
	struct helper *helper;
	int sock;
	uint64_t asked_usec; /* it has said nothing since it was asked then; 0: it owes no answer */
	sd_event_source *child, *io, *late;
};

static struct helper helpers[HELPERS];
static int beacon_udp = -1;
static int sealed_config = -1;

static void start(struct helper *h);

static bool
is_beacon(const struct helper *h)
{
	return h == &helpers[BEACON];
}

static unsigned
share_of(const struct helper *h)
{
	return (unsigned)(h - helpers);
}

/* "the keeper of /srv/ftd" */
static const char *
name_of(const struct helper *h, char *buf, size_t size)
{
	if (is_beacon(h))
		return "the beacon";
	(void)snprintf(buf, size, "the keeper of %s", h->sup->config->shares[share_of(h)].root);
	return buf;
}

static int
on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct helper *h = userdata;

	(void)source;
	(void)usec;
	h->again = sd_event_source_disable_unref(h->again);
	start(h);
	return 0;
}

static void
start_again(struct helper *h)
{
	char name[NAME_TEXT];

	if (sd_event_add_time_relative(h->sup->event, &h->again, CLOCK_MONOTONIC, AGAIN_PAUSE, 0,
				       on_again, h) < 0)
		log_line(LOG_ERR, "%s stays away: no memory for its timer",
			 name_of(h, name, sizeof(name)));
}

static void
process_free(struct process *p)
{
	(void)sd_event_source_disable_unref(p->child);
	(void)sd_event_source_disable_unref(p->io);
	(void)sd_event_source_disable_unref(p->late);
	close_fd(&p->sock);
	free(p);
}

static int
on_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct process *p = userdata;
	struct helper *h = p->helper;
	bool current = h->current == p;
	char name[NAME_TEXT];

	(void)source;
	process_free(p);
	if (!current)
		return 0;
	h->current = NULL;
	questions_lost(h->sup, share_of(h));
	log_line(LOG_ERR, "%s ended (%s %d), starting it again", name_of(h, name, sizeof(name)),
		 si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
	start_again(h);
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
	p->asked_usec = 0;
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

	if (r >= 0 && !is_beacon(p->helper))
		r = sd_event_add_io(event, &p->io, p->sock, EPOLLIN, on_packet, p);
	return r;
}

static int
send_packet(const struct process *p, const struct packet_keeper *packet)
{
	return io_send_packet(p->sock, packet, sizeof(*packet), NULL, 0, MSG_DONTWAIT);
}

/* The same for all. */
static int
seal_config(const struct config *c)
{
	if (sealed_config < 0)
		sealed_config = spawn_seal_config(c);
	return sealed_config;
}

static int
exec_one(struct process *p)
{
	const struct helper *h = p->helper;
	const struct packet_keeper first = { .type = KEEPER_SHARE, .share = share_of(h) };
	const struct spawn how = {
		.name = is_beacon(h) ? "beacon" : "keeper",
		.config_fd = seal_config(h->sup->config),
		.public_fd = is_beacon(h) ? h->sup->boards.public_ro_fd : -1,
		.orders_fd = -1,
		.reports_fd = -1,
		.extra_fd = is_beacon(h) ? beacon_udp : -1,
		.log_fd = journal_role_fd(h->sup->journal),
		.nice = is_beacon(h) ? 0 : KEEPER_NICE,
	};
	pid_t pid;
	int r = how.config_fd;

	if (r >= 0)
		r = spawn_role(&how, &pid, &p->sock);
	if (r >= 0)
		r = watch(p, pid);
	if (r >= 0 && !is_beacon(h))
		r = send_packet(p, &first);
	return r;
}

/* Or tries again later. */
static void
start(struct helper *h)
{
	struct process *p = calloc(1, sizeof(*p));
	char name[NAME_TEXT];
	int r = -ENOMEM;

	if (p != NULL) {
		*p = (struct process){ .helper = h, .sock = -1 };
		r = exec_one(p);
	}
	if (r >= 0) {
		h->current = p;
		return;
	}
	if (p != NULL)
		process_free(p);
	log_line(LOG_ERR, "cannot start %s, trying again: %s", name_of(h, name, sizeof(name)),
		 strerror(-r));
	start_again(h);
}

static int
on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	const struct process *p = userdata;

	(void)source;
	(void)usec;
	children_signal(p->child, SIGKILL);
	return 0;
}

/* The end of its socket tells it to go. Nobody waits for it: a file system that hangs may hold it
 * for longer than a signal helps. */
static void
dismiss(struct helper *h)
{
	struct process *p = h->current;

	h->again = sd_event_source_disable_unref(h->again);
	h->current = NULL;
	if (p == NULL)
		return;
	p->io = sd_event_source_disable_unref(p->io);
	close_fd(&p->sock);
	(void)sd_event_add_time_relative(h->sup->event, &p->late, CLOCK_MONOTONIC, END_PATIENCE, 0,
					 on_late, p);
	questions_lost(h->sup, share_of(h));
}

static bool
is_wanted(const struct helper *h)
{
	const struct config *c = h->sup->config;
	unsigned share = share_of(h);

	if (is_beacon(h))
		return beacon_udp >= 0;
	return share < c->n_shares && config_is_first_of_root(c, share);
}

void
helpers_restart(struct supervisor *sup, bool new_udp, int udp_fd)
{
	if (new_udp) {
		close_fd(&beacon_udp);
		beacon_udp = udp_fd;
	}
	close_fd(&sealed_config);
	for (struct helper *h = helpers; h < helpers + HELPERS; h++) {
		h->sup = sup;
		dismiss(h);
		if (is_wanted(h))
			start(h);
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
	return beacon_udp;
}

int
helpers_take_udp(void)
{
	return take_fd(&beacon_udp);
}

void
helpers_stop(void)
{
	for (struct helper *h = helpers; h < helpers + HELPERS; h++)
		dismiss(h);
	close_fd(&beacon_udp);
	close_fd(&sealed_config);
}

/* ---- keepers */

static struct process *
keeper_of(unsigned share)
{
	return share < CONFIG_SHARES_MAX ? helpers[share].current : NULL;
}

int
helpers_ask_keeper(const struct packet_keeper *question)
{
	struct process *keeper = keeper_of(question->share);
	int r = keeper == NULL ? -ENOTCONN : send_packet(keeper, question);

	if (r >= 0 && keeper->asked_usec == 0)
		keeper->asked_usec = clock_usec();
	return r;
}

uint64_t
helpers_keeper_silence(unsigned share)
{
	const struct process *keeper = keeper_of(share);

	return keeper == NULL || keeper->asked_usec == 0 ? 0 : clock_usec() - keeper->asked_usec;
}

void
helpers_sweep(void)
{
	const struct packet_keeper p = { .type = KEEPER_SWEEP };

	/* a full socket holds enough of these: one sweep serves them all */
	for (unsigned i = 0; i < CONFIG_SHARES_MAX; i++)
		if (helpers[i].current != NULL)
			(void)send_packet(helpers[i].current, &p);
}
