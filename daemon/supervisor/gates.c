#include "daemon/supervisor/gates.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/common/role.h"
#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/asks.h"
#include "daemon/supervisor/children.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/own.h"

static bool
is_crash(const siginfo_t *si)
{
	if (si->si_code != CLD_KILLED && si->si_code != CLD_DUMPED)
		return false;
	return si->si_status != SIGKILL && si->si_status != SIGTERM;
}

/* What its end costs the source. Whom the supervisor killed is not to blame. */
static void
charge_end(struct connection *c, const siginfo_t *si)
{
	if (is_crash(si))
		connections_charge(c, PENALTY_CRASH);
	else if (si->si_code != CLD_EXITED)
		return;
	else if (si->si_status == ROLE_EXIT_CLIENT)
		connections_charge(c, PENALTY_PROTOCOL);
	else if (si->si_status == ROLE_EXIT_LATE)
		connections_charge(c, PENALTY_LATE);
	else if (si->si_status == ROLE_EXIT_OK && !c->admitted)
		connections_charge(c, PENALTY_LEFT);
}

static bool
is_failure(const siginfo_t *si)
{
	return si->si_code == CLD_EXITED && si->si_status != ROLE_EXIT_OK &&
	       si->si_status != ROLE_EXIT_CLIENT && si->si_status != ROLE_EXIT_LATE;
}

static int
on_gate_death(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct connection *c = userdata;
	struct supervisor *sup = c->sup;

	(void)source;
	if (is_crash(si)) {
		log_line(LOG_ERR, "a gate crashed (signal %d), replacing its house", si->si_status);
		houses_crashed(sup, HOUSE_GATE);
	} else if (is_failure(si)) {
		log_line(LOG_ERR, "a gate ended with class %d", si->si_status);
	}
	charge_end(c, si);
	connections_free(c);
	admission_fill(sup);
	return 0;
}

/* What it says is judged; a gate that breaks the rules was taken over, or is broken. */
static int
on_gate_packet(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;
	int r;

	(void)source;
	(void)fd;
	(void)events;
	if (c->process.pid ==
	    0) /* its birth was told before it could speak, and is to be read first */
		return 0;
	r = asks_take(c);
	if (r == 0)
		return 0;
	c->io = sd_event_source_disable_unref(c->io);
	if (r == -EPROTO) {
		log_line(LOG_WARNING, "a gate broke its protocol, ending it");
		connections_charge(c, PENALTY_CRASH);
		children_signal(c->child, SIGKILL);
	}
	return 0;
}

static int
gate_open(struct connection *c)
{
	struct packet_birth b = {
		.connection = c->number,
		.generation = c->sup->generation,
		.deadline_usec = c->deadline_usec,
		.peer = c->peer,
		.flags = (addr_is_loopback(&c->peer) ? BIRTH_LOOPBACK : 0) |
			 (c->source->unnamed ? BIRTH_PROXY : 0),
	};
	auto_close int theirs = -1;
	auto_close int pumps_end = -1;
	int pair[2], stream[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->privilege = pair[0];
	theirs = pair[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0)
		return -errno;
	c->stream = stream[0];
	pumps_end = stream[1];
	const int fds[] = {
		[BIRTH_CONNECTION] = c->fd, [BIRTH_PRIVILEGE] = theirs, [BIRTH_STREAM] = pumps_end
	};
	c->process.asked_usec = clock_boot_usec();
	r = sd_event_add_io(c->sup->event, &c->io, c->privilege, EPOLLIN, on_gate_packet, c);
	if (r >= 0)
		r = houses_birth(c->sup, HOUSE_GATE, &b, fds);
	return r;
}

void
gates_enter(struct connection *c)
{
	struct admission *a = c->sup->admission;
	struct packet_verdict v;
	int r;

	c->io = sd_event_source_disable_unref(c->io);
	connections_leave(c);
	c->stage = STAGE_GATE;
	c->entered_usec = clock_usec();
	connections_append(&a->gates, c);
	c->source->gates++;
	a->pool++;
	r = gate_open(c);
	if (r < 0) {
		log_line(LOG_WARNING, "cannot start a gate, refusing the connection: %s",
			 strerror(-r));
		v = verdict_make("busy", "the server cannot take the connection now",
				 CONNECTIONS_RETRY_MS);
		connections_refuse(c, &v);
	}
}

int
gates_watch(struct connection *c)
{
	int r = children_add(c->sup->event, &c->child, c->process.pid, -1, on_gate_death, c);

	return r < 0 ? r : 0;
}

bool
gates_end(struct supervisor *sup)
{
	for (struct connection *c = sup->admission->gates.first; c != NULL; c = c->next)
		connections_kill(c);
	return sup->admission->gates.first == NULL;
}

void
gates_born(struct supervisor *sup, uint64_t connection, pid_t pid)
{
	struct packet_verdict v =
	    verdict_make("busy", "the server cannot take the connection now", CONNECTIONS_RETRY_MS);
	struct connection *c = sup->admission->gates.first;
	int r;

	while (c != NULL && c->number != connection)
		c = c->next;
	if (c == NULL || c->process.pid != 0)
		return; /* told twice */
	c->process.born_usec = clock_boot_usec();
	c->process.pid = pid;
	r = pid <= 0 ? -EAGAIN : gates_watch(c);
	if (r < 0) {
		connections_refuse(c, &v);
		return;
	}
	if (c->stage == STAGE_EVICTED)
		connections_kill(c);
}

static const struct connection *
find_pid(const struct connection_list *l, pid_t pid)
{
	const struct connection *c = l->first;

	while (c != NULL && c->process.pid != pid)
		c = c->next;
	return c;
}

int
gates_of_pid(const struct supervisor *sup, pid_t pid, uint64_t *ret_number, union addr *ret_peer)
{
	const struct connection *c = NULL;

	if (sup->admission != NULL)
		c = find_pid(&sup->admission->gates, pid);
	if (c == NULL && sup->admission != NULL)
		c = find_pid(&sup->admission->pumps, pid);
	if (c == NULL)
		return -ESRCH;
	*ret_number = c->number;
	*ret_peer = c->peer;
	return 0;
}

void
gates_evict(struct connection *c)
{
	struct admission *a = c->sup->admission;

	connections_charge(c, PENALTY_LEFT);
	c->stage = STAGE_EVICTED;
	c->source->gates--;
	a->pool--;
	c->io = sd_event_source_disable_unref(c->io);
	connections_kill(c);
}

static const struct source *
largest_of(const struct admission *a)
{
	const struct source *largest = NULL;

	for (const struct connection *c = a->gates.first; c != NULL; c = c->next)
		if (c->stage == STAGE_GATE && !c->asked &&
		    (largest == NULL || c->source->gates > largest->gates))
			largest = c->source;
	return largest;
}

struct connection *
gates_unfair(const struct admission *a, const struct source *newcomer)
{
	const struct source *largest = largest_of(a);
	struct connection *c = a->gates.first;

	if (largest == NULL || largest->gates < newcomer->gates + 2)
		return NULL;
	while (c->stage != STAGE_GATE || c->asked || c->source != largest)
		c = c->next;
	return largest->gates > ADMISSION_FAIR_GATES ||
		       clock_usec() - c->entered_usec > ADMISSION_FAIR_TIME
		   ? c
		   : NULL;
}
