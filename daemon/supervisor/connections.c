#include "daemon/supervisor/connections.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/supervisor/children.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/logins.h"
#include "daemon/supervisor/pumps.h"
#include "daemon/supervisor/refusals.h"
#include "lib/own.h"

void
connections_append(struct connection_list *l, struct connection *c)
{
	c->prev = l->last;
	c->next = NULL;
	if (l->last != NULL)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
	l->n++;
}

static void
list_remove(struct connection_list *l, struct connection *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		l->last = c->prev;
	l->n--;
}

void
connections_kill(struct connection *c)
{
	if (c->child != NULL)
		children_signal(c->child, SIGKILL);
	else if (c->pidfd >= 0 && c->known)
		(void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

void
connections_leave(struct connection *c)
{
	struct admission *a = c->sup->admission;

	if (c->stage == STAGE_SILENT || c->stage == STAGE_WAITING) {
		list_remove(&a->room, c);
		c->source->waiting--;
		return;
	}
	if (c->stage == STAGE_PUMP) {
		list_remove(&a->pumps, c);
		pumps_leave(c);
		return;
	}
	list_remove(&a->gates, c);
	if (c->stage == STAGE_GATE) {
		c->source->gates--;
		a->pool--;
	}
}

void
connections_free(struct connection *c)
{
	logins_forget(c);
	connections_leave(c);
	(void)sd_event_source_disable_unref(c->io);
	(void)sd_event_source_disable_unref(c->child);
	source_release(c->source);
	close_fd(&c->fd);
	close_fd(&c->privilege);
	close_fd(&c->stream);
	close_fd(&c->pidfd);
	free(c);
}

void
connections_refuse(struct connection *c, const struct packet_verdict *v)
{
	log_refusal(&c->peer, NULL, v->code, v->message);
	c->sup->retired.refused++;
	refusals_say(take_fd(&c->fd), v);
	connections_free(c);
}

int
connections_name(struct connection *c, const union addr *peer)
{
	struct source *s = source_hold(peer);

	if (s == NULL)
		return -ENOMEM;
	c->source->gates--;
	source_release(c->source);
	s->gates++;
	c->source = s;
	c->peer = *peer;
	return 0;
}

void
connections_charge(struct connection *c, enum penalty why)
{
	if (!c->source->unnamed)
		penalties_add(c->sup, &c->peer, why);
}

struct packet_verdict
connections_full(const char *message, uint64_t limit, uint64_t current)
{
	struct packet_verdict v = verdict_make("limit_sessions", message, CONNECTIONS_RETRY_MS);

	v.limit = limit;
	v.current = current;
	return v;
}
