#include "daemon/supervisor/pumps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/kin.h"
#include "daemon/supervisor/slots.h"
#include "lib/clock.h"
#include "lib/own.h"

/* A pump ends by itself when its client takes nothing for limits.stall_timeout. */
#define OVERTIME (30 * USEC_PER_SEC)

static struct board_orders *
page_of(const struct session *s)
{
	return board_orders_at(&s->sup->boards, s->slot);
}

void
pumps_enter(struct connection *c, struct session *s)
{
	connections_leave(c);
	c->stage = STAGE_PUMP;
	connections_append(&c->sup->admission->pumps, c);
	c->session = s;
	s->priv->pump = c;
	page_of(s)->pump = c->process;
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
		page_of(c->session)->pump = (struct board_process){ .pid = 0 };
		return;
	}
	c->source->sessions--;
	c->sup->admission->left_behind--;
	slots_release(c->sup, c->slot);
}

static void
leave_behind(struct connection *c, uint32_t slot)
{
	c->session = NULL;
	c->slot = slot;
	c->gone_usec = clock_usec();
	c->source->sessions++;
	c->sup->admission->left_behind++;
}

bool
pumps_session_gone(struct session *s)
{
	struct connection *c = s->priv->pump;

	if (c == NULL)
		return false;
	page_of(s)->process = (struct board_process){ .pid = 0 };
	memset(board_report_at(&s->sup->boards, s->slot), 0, BOARD_PAGE);
	leave_behind(c, s->slot);
	return true;
}

/* --- those of a former supervisor */

static int
on_kin_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;
	struct supervisor *sup = c->sup;

	(void)source;
	(void)fd;
	(void)events;
	connections_free(c);
	admission_fill(sup);
	return 0;
}

/* Also a pump may be a child: the binary was replaced. */
static int
watch(struct connection *c)
{
	if (kin_is_child(c->process.pid))
		return gates_watch(c);
	return sd_event_add_io(c->sup->event, &c->io, c->pidfd, EPOLLIN, on_kin_end, c);
}

static struct connection *
kin_new(struct supervisor *sup, const struct board_orders *orders, int pidfd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = (struct connection){
		.sup = sup,
		.stage = STAGE_PUMP,
		.number = orders->session,
		.fd = -1,
		.peer = orders->peer,
		.source = source_hold(&orders->peer),
		.process = orders->pump,
		.privilege = -1,
		.stream = -1,
		.pidfd = pidfd,
	};
	if (c->source == NULL || watch(c) < 0) {
		if (c->source != NULL)
			source_release(c->source);
		free(c);
		return NULL;
	}
	return c;
}

bool
pumps_adopt(struct supervisor *sup, const struct board_orders *orders, struct session *s)
{
	auto_close int pidfd = -1;
	bool child = kin_is_child(orders->pump.pid);
	enum kin kin = child ? KIN_OURS : kin_find(&orders->pump, &pidfd);
	struct connection *c;

	/* who cannot be told from a stranger is not waited for without a session: a pump ends by
	 * itself */
	if ((pidfd < 0 && !child) || (s == NULL && kin != KIN_OURS))
		return false;
	c = kin_new(sup, orders, pidfd);
	if (c == NULL)
		return false;
	(void)take_fd(&pidfd);
	c->known = kin == KIN_OURS;
	connections_append(&sup->admission->pumps, c);
	c->session = s;
	if (s != NULL)
		s->priv->pump = c;
	else
		leave_behind(c, orders->slot);
	return true;
}

/* --- time */

/* What is to be killed, and may not be, is forgotten: it ends by itself. */
static void
end_overdue(struct connection *c)
{
	connections_kill(c);
	if (c->pidfd >= 0 && !c->known)
		connections_free(c);
}

void
pumps_tick(struct supervisor *sup)
{
	uint64_t now = clock_usec(), limit = sup->config->stall_timeout + OVERTIME;
	struct connection *next;

	for (struct connection *c = sup->admission->pumps.first; c != NULL; c = next) {
		next = c->next;
		if (c->session == NULL && now - c->gone_usec > limit)
			end_overdue(c);
	}
}

void
pumps_kill(struct supervisor *sup)
{
	for (struct connection *c = sup->admission->pumps.first; c != NULL; c = c->next)
		connections_kill(c);
}

void
pumps_wait(struct supervisor *sup, uint64_t until_usec)
{
	for (struct connection *c = sup->admission->pumps.first; c != NULL; c = c->next)
		if (c->pidfd >= 0)
			kin_wait(c->pidfd, until_usec);
}
