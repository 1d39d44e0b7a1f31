#include "daemon/supervisor/pumps.h"

#include <signal.h>

#include "daemon/supervisor/slots.h"
#include "lib/clock.h"
#include "lib/own.h"

/* A pump ends by itself when its client takes nothing for limits.stall_timeout. */
#define OVERTIME (30 * USEC_PER_SEC)

void
pumps_enter(struct connection *c, struct session *s)
{
	connections_leave(c);
	c->stage = STAGE_PUMP;
	connections_append(&c->sup->admission->pumps, c);
	c->session = s;
	s->priv->pump = c;
	/* the pump alone holds the connection, the session alone the other end of the stream */
	c->io = sd_event_source_disable_unref(c->io);
	close_fd(&c->fd);
	close_fd(&c->stream);
	close_fd(&c->privilege);
}

void
pumps_leave(struct connection *c)
{
	if (c->session != NULL) {
		c->session->priv->pump = NULL;
		return;
	}
	c->source->sessions--;
	c->sup->admission->left_behind--;
}

void
pumps_session_gone(struct session *s)
{
	struct connection *c = s->priv->pump;

	if (c == NULL)
		return;
	c->session = NULL;
	c->gone_usec = clock_usec();
	c->source->sessions++;
	s->sup->admission->left_behind++;
}

void
pumps_tick(struct supervisor *sup)
{
	uint64_t now = clock_usec(), limit = sup->config->stall_timeout + OVERTIME;

	for (struct connection *c = sup->admission->pumps.first; c != NULL; c = c->next)
		if (c->session == NULL && now - c->gone_usec > limit && c->child != NULL)
			(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
}

void
pumps_kill(struct supervisor *sup)
{
	for (struct connection *c = sup->admission->pumps.first; c != NULL; c = c->next)
		if (c->child != NULL)
			(void)sd_event_source_send_child_signal(c->child, SIGKILL, NULL, 0);
}
