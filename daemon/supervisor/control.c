#include "daemon/supervisor/control.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { GROUPS_MAX = 1024, ACCEPT_PAUSE_MSEC = 500 };
static const gid_t NO_GROUP = (gid_t)-1;

static bool
has_group(const gid_t *groups, size_t n, gid_t wanted)
{
	for (size_t i = 0; i < n; i++)
		if (wanted != NO_GROUP && groups[i] == wanted)
			return true;
	return false;
}

/* An ordinary user who runs a daemon manages it; the account that root lends to the daemon does
 * not, since sessions run as that, too. */
enum control_role
control_role_of(const struct control *c, uid_t uid, const gid_t *groups, size_t n)
{
	if (uid == 0 || (uid == geteuid() && !c->sup->started_as_root))
		return CONTROL_ADMIN;
	if (has_group(groups, n, c->operators))
		return CONTROL_OPERATOR;
	if (uid == geteuid() || has_group(groups, n, c->viewers))
		return CONTROL_VIEWER;
	return CONTROL_NOBODY;
}

/* Who is at the other end, as the kernel noted when it connected. */
static int
credentials(const struct control *c, int fd, struct ucred *ret_cred, enum control_role *ret_role)
{
	gid_t groups[GROUPS_MAX + 1];
	struct ucred cred;
	socklen_t len = sizeof(cred), groups_len = GROUPS_MAX * sizeof(gid_t);
	size_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len) < 0)
		return -errno;
	n = groups_len / sizeof(gid_t);
	groups[n++] = cred.gid;
	*ret_role = control_role_of(c, cred.uid, groups, n);
	*ret_cred = cred;
	return 0;
}

struct control_peer **
control_place(struct control *c, uid_t uid)
{
	struct control_peer **place = NULL;
	unsigned used = 0, same = 0;

	for (size_t i = 0; i < CONTROL_PEERS_MAX; i++) {
		if (c->peers[i] == NULL) {
			place = place == NULL ? &c->peers[i] : place;
			continue;
		}
		used++;
		same += c->peers[i]->request.uid == uid;
	}
	if (same >= CONTROL_PEERS_PER_UID)
		return NULL;
	if (uid != 0 && used >= CONTROL_PEERS_MAX - CONTROL_PEERS_FOR_ROOT)
		return NULL;
	return place;
}

/* Says why in one frame, if the socket takes it, before the connection is closed. */
static void
turn_away(int fd, int r, const char *message)
{
	auto_json json_t *answer = control_answer_new();
	struct buf out;

	buf_init(&out, FRAME_PREFIX + FRAME_HEADER_MAX);
	if (answer != NULL && control_answer_refuse(answer, r, message) == 0 &&
	    control_set(answer, "close", json_true()) == 0 && message_append(&out, answer) == 0)
		(void)send(fd, buf_data(&out), buf_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_done(&out);
}

static void
admit(struct control *c, int connection)
{
	auto_close int fd = connection;
	struct control_peer **place;
	enum control_role role;
	struct ucred cred;
	int r;

	r = credentials(c, fd, &cred, &role);
	if (r < 0) {
		log_line(LOG_WARNING, "control: peer without credentials (%s), dropping it",
			 err_text(r));
		return;
	}
	if (role == CONTROL_NOBODY) {
		turn_away(fd, -FTD_E_permission,
			  "only root, control.group and control.operator_group may");
		return;
	}
	place = control_place(c, cred.uid);
	if (place == NULL) {
		turn_away(fd, -FTD_E_busy, "too many control connections");
		return;
	}
	r = control_peer_new(c, take_fd(&fd), cred.uid, cred.pid, role, place);
	if (r < 0)
		log_line(LOG_WARNING, "control: cannot serve a peer (%s), dropping it",
			 err_text(r));
}

/* Out of descriptors: a listening socket that stays ready would spin. */
static void
pause_listening(struct control *c)
{
	(void)sd_event_source_set_enabled(c->listen, SD_EVENT_OFF);
	(void)sd_event_source_set_time(c->retry, clock_usec() + ACCEPT_PAUSE_MSEC * USEC_PER_MSEC);
	(void)sd_event_source_set_enabled(c->retry, SD_EVENT_ONESHOT);
}

static int
on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct control *c = userdata;

	(void)source;
	(void)usec;
	(void)sd_event_source_set_enabled(c->listen, SD_EVENT_ON);
	return 0;
}

static int
on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control *c = userdata;
	int connection;

	(void)source;
	(void)revents;
	connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (connection >= 0)
		admit(c, connection);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_listening(c);
	return 0;
}

/* From the loop, not from inside of what has changed: a step may itself change things. */
static int
on_changed(sd_event_source *source, void *userdata)
{
	struct control *c = userdata;

	(void)source;
	for (size_t i = 0; i < CONTROL_PEERS_MAX; i++)
		if (c->peers[i] != NULL && c->peers[i]->waiting && !control_peer_run(c->peers[i]))
			control_drop(c->peers[i]);
	return 0;
}

void
control_changed(struct supervisor *sup)
{
	struct control *c = sup->control;

	for (size_t i = 0; c != NULL && i < CONTROL_PEERS_MAX; i++)
		if (c->peers[i] != NULL && c->peers[i]->waiting) {
			(void)sd_event_source_set_enabled(c->changed, SD_EVENT_ONESHOT);
			return;
		}
}

static gid_t
group_named(const char *name)
{
	struct group *g = name[0] == '\0' ? NULL : getgrnam(name);

	if (g == NULL && name[0] != '\0')
		log_line(LOG_WARNING, "control: there is no group %s, nobody gets its role", name);
	return g == NULL ? NO_GROUP : g->gr_gid;
}

void
control_reconfigure(struct supervisor *sup)
{
	struct control *c = sup->control;

	c->viewers = group_named(sup->config->control_group);
	c->operators = group_named(sup->config->control_operator_group);
	control_disks_done(c);
}

void
control_drop(struct control_peer *p)
{
	struct control *c = p->control;

	for (size_t i = 0; i < CONTROL_PEERS_MAX; i++)
		if (c->peers[i] == p)
			c->peers[i] = NULL;
	(void)control_peer_free(p);
}

static int
watch(struct control *c)
{
	sd_event *event = c->sup->event;
	int r;

	r = sd_event_add_io(event, &c->listen, c->fd, EPOLLIN, on_connection, c);
	if (r < 0)
		return r;
	r = sd_event_add_time(event, &c->retry, CLOCK_MONOTONIC, 0, 0, on_retry, c);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(c->retry, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(event, &c->changed, on_changed, c);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(c->changed, SD_EVENT_OFF);
}

int
control_start(struct supervisor *sup, int listen_fd)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL) {
		close_fd(&listen_fd);
		return -ENOMEM;
	}
	c->sup = sup;
	c->fd = listen_fd;
	sup->control = c;
	control_reconfigure(sup);
	r = watch(c);
	if (r < 0)
		control_stop(sup);
	return r;
}

/* Who waits for the end is told now: it is here. */
void
control_stop(struct supervisor *sup)
{
	struct control *c = sup->control;

	if (c == NULL)
		return;
	for (size_t i = 0; i < CONTROL_PEERS_MAX; i++) {
		struct control_peer *p = c->peers[i];

		if (p == NULL)
			continue;
		p->request.ending = true;
		if (p->waiting ||
		    p->request.command == NULL) /* a list would look at what is gone */
			(void)control_peer_run(p);
		control_drop(p);
	}
	control_disks_done(c);
	(void)sd_event_source_disable_unref(c->listen);
	(void)sd_event_source_disable_unref(c->retry);
	(void)sd_event_source_disable_unref(c->changed);
	close_fd(&c->fd);
	free(c);
	sup->control = NULL;
}
