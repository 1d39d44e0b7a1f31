#include "daemon/supervisor/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/own.h"

#define PAUSE (500 * USEC_PER_MSEC)
enum { BACKLOG = 4096, ACCEPTS_A_TURN = 32 };

struct listener {
	struct listeners *all;
	int fd;
	union addr wanted; /* as configured, to find it again on reload */
	union addr bound;
	sd_event_source *io, *pause;
};

struct listeners {
	struct supervisor *sup;
	bool handed;
	unsigned n;
	struct listener list[CONFIG_LISTENERS_MAX];
};

/* --- accepting */

static int
on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct listener *l = userdata;

	(void)source;
	(void)usec;
	l->pause = sd_event_source_disable_unref(l->pause);
	if (l->io != NULL)
		(void)sd_event_source_set_enabled(l->io, SD_EVENT_ON);
	return 0;
}

/* It may last: a line a minute is enough. */
static void
tell_pause(void)
{
	static uint64_t told;
	uint64_t now = clock_usec();

	if (told != 0 && now - told < 60 * USEC_PER_SEC)
		return;
	told = now;
	log_line(LOG_WARNING, "out of descriptors or memory, accepting in turns of half a second");
}

/* Out of descriptors or memory: to spin would not make any, to die would help nobody. */
static void
pause_accepting(struct listener *l)
{
	if (l->pause != NULL || l->io == NULL)
		return;
	if (sd_event_add_time_relative(l->all->sup->event, &l->pause, CLOCK_MONOTONIC, PAUSE, 0,
				       on_pause_over, l) < 0)
		return;
	tell_pause();
	(void)sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
}

static int
on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct listener *l = userdata;
	union addr peer;
	socklen_t len;
	int c;

	(void)source;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && l->io != NULL; i++) {
		memset(&peer, 0, sizeof(peer));
		len = sizeof(peer);
		c = accept4(fd, &peer.sa, &len, SOCK_CLOEXEC);
		if (c < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				pause_accepting(l);
			return 0;
		}
		addr_normalise(&peer);
		admission_accept(l->all->sup, c, &peer);
	}
	return 0;
}

int
listeners_watch(struct listeners *all)
{
	struct listener *l;
	int r;

	for (unsigned i = 0; i < all->n; i++) {
		l = &all->list[i];
		if (l->io != NULL)
			continue;
		r = sd_event_add_io(all->sup->event, &l->io, l->fd, EPOLLIN, on_connection, l);
		if (r < 0)
			return r;
	}
	return 0;
}

static void
listener_unwatch(struct listener *l)
{
	l->io = sd_event_source_disable_unref(l->io);
	l->pause = sd_event_source_disable_unref(l->pause);
}

void
listeners_stop_accepting(struct listeners *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		listener_unwatch(&all->list[i]);
		close_fd(&all->list[i].fd);
	}
}

void
listeners_rest(struct listeners *all)
{
	for (unsigned i = 0; i < all->n; i++)
		listener_unwatch(&all->list[i]);
}

size_t
listeners_descriptors(const struct listeners *all, int *ret)
{
	for (unsigned i = 0; i < all->n; i++)
		ret[i] = all->list[i].fd;
	return all->n;
}

/* --- opening */

/* Who says nothing gets no process: the kernel keeps such connections until the login time is over.
 */
static int
prepare(const struct config *c, int fd, union addr *ret_bound)
{
	int wait_sec = (int)(c->login_timeout / USEC_PER_SEC);
	const int on = 1;
	socklen_t len = sizeof(*ret_bound);

	if (wait_sec > 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_sec, sizeof(wait_sec)) < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return getsockname(fd, &ret_bound->sa, &len) < 0 ? -errno : 0;
}

static int
open_one(const struct config *c, const union addr *a, socklen_t len, int *ret_fd,
	 union addr *ret_bound)
{
	auto_close int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1, off = 0;
	int r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	/* "::" serves both families, whatever the system's default */
	if (a->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -errno;
	if (bind(fd, &a->sa, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	r = prepare(c, fd, ret_bound);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static bool
has_port(const struct listeners *former, uint16_t port)
{
	for (unsigned i = 0; former != NULL && i < former->n; i++)
		if (addr_port(&former->list[i].bound) == port)
			return true;
	return false;
}

static void
tell(struct config_problems *problems, const char *what, const struct config_listener *l,
     const struct listeners *former, int r)
{
	const char *cure = "";

	if (r == -EADDRINUSE && has_port(former, l->port))
		cure = "; this daemon has the port at another address until it is restarted";
	else if (r == -EADDRINUSE)
		cure = "; end the program that has it, or choose another port";
	else if (r == -EACCES)
		cure =
		    "; ports below 1024 need root, CAP_NET_BIND_SERVICE or a socket from systemd";
	else if (r == -EADDRNOTAVAIL)
		cure = "; no interface of this machine has the address";
	config_problem_add(problems, true, l->line, "%s: cannot listen on %s port %u: %s%s", what,
			   l->address, (unsigned)l->port, strerror(-r), cure);
}

static const struct listener *
find_same(const struct listeners *former, const union addr *wanted)
{
	if (former == NULL || former->handed)
		return NULL;
	for (unsigned i = 0; i < former->n; i++)
		if (memcmp(&former->list[i].wanted, wanted, sizeof(*wanted)) == 0 &&
		    former->list[i].fd >= 0)
			return &former->list[i];
	return NULL;
}

static int
open_or_keep(const struct config *c, const struct config_listener *cl,
	     const struct listeners *former, struct listener *l)
{
	const struct listener *same;
	socklen_t len;
	int r;

	memset(&l->wanted, 0, sizeof(l->wanted));
	r = addr_parse(cl->address, cl->port, &l->wanted, &len);
	if (r < 0)
		return r;
	same = find_same(former, &l->wanted);
	if (same == NULL)
		return open_one(c, &l->wanted, len, &l->fd, &l->bound);
	l->fd = fcntl(same->fd, F_DUPFD_CLOEXEC, 0);
	return l->fd < 0 ? -errno : prepare(c, l->fd, &l->bound);
}

static struct listeners *
listeners_new(struct supervisor *sup)
{
	struct listeners *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->sup = sup;
	for (unsigned i = 0; i < CONFIG_LISTENERS_MAX; i++) {
		all->list[i].all = all;
		all->list[i].fd = -1;
	}
	return all;
}

int
listeners_open(struct supervisor *sup, const struct config *c, struct listeners *former,
	       struct config_problems *problems, struct listeners **ret)
{
	struct listeners *all = listeners_new(sup);
	int r, failed = 0;

	if (all == NULL)
		return -ENOMEM;
	all->n = c->n_listen;
	for (unsigned i = 0; i < c->n_listen; i++) {
		r = open_or_keep(c, &c->listen[i], former, &all->list[i]);
		if (r < 0) {
			tell(problems, "listen", &c->listen[i], former, r);
			failed = -EINVAL;
		}
	}
	if (failed < 0) {
		listeners_free(all);
		return failed;
	}
	*ret = all;
	return 0;
}

int
listeners_adopt(struct supervisor *sup, const int *fds, size_t n, struct listeners **ret)
{
	struct listeners *all;
	int r = 0;

	if (n > CONFIG_LISTENERS_MAX)
		return -E2BIG;
	all = listeners_new(sup);
	if (all == NULL)
		return -ENOMEM;
	all->handed = true;
	for (all->n = 0; all->n < n && r == 0; all->n++) {
		all->list[all->n].fd = fds[all->n];
		r = prepare(sup->config, fds[all->n], &all->list[all->n].bound);
	}
	if (r < 0) {
		listeners_free(all);
		return r;
	}
	*ret = all;
	return 0;
}

int
listeners_carry(struct supervisor *sup, const int *fds, size_t n, bool handed,
		struct listeners **ret)
{
	struct listeners *former = NULL;
	int r = listeners_adopt(sup, fds, n, &former);

	if (r < 0)
		return r;
	former->handed = handed;
	for (unsigned i = 0; i < former->n; i++) {
		former->list[i].wanted = former->list[i].bound;
		(void)fcntl(former->list[i].fd, F_SETFD, FD_CLOEXEC);
	}
	*ret = former;
	return 0;
}

struct listeners *
listeners_free(struct listeners *all)
{
	if (all == NULL)
		return NULL;
	listeners_stop_accepting(all);
	free(all);
	return NULL;
}

bool
listeners_are_handed(const struct listeners *l)
{
	return l->handed;
}

const char *
listeners_text(const struct supervisor *sup, unsigned i, char *buf)
{
	if (sup->listeners == NULL || i >= sup->listeners->n)
		return NULL;
	return addr_format(&sup->listeners->list[i].bound, buf);
}

bool
listeners_paused(const struct supervisor *sup)
{
	for (unsigned i = 0; sup->listeners != NULL && i < sup->listeners->n; i++)
		if (sup->listeners->list[i].pause != NULL)
			return true;
	return false;
}

int
listeners_open_udp(const struct config *c, struct config_problems *problems, int *ret_fd)
{
	struct config_listener l = { .port = (uint16_t)c->status_port, .line = c->status_line };
	auto_close int fd = -1;
	union addr a;
	socklen_t len;
	int r;

	*ret_fd = -1;
	if (c->status_address[0] == '\0')
		return 0;
	memcpy(l.address, c->status_address, sizeof(l.address));
	r = addr_parse(l.address, l.port, &a, &len);
	if (r == 0) {
		fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		r = fd < 0 || bind(fd, &a.sa, len) < 0 ? -errno : 0;
	}
	if (r < 0) {
		tell(problems, "status", &l, NULL, r);
		return -EINVAL;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
