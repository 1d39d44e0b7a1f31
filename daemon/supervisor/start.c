#include "daemon/supervisor/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/common/capabilities.h"
#include "daemon/common/creds.h"
#include "daemon/common/sandbox.h"
#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/listeners.h"
#include "daemon/supervisor/survey.h"
#include "daemon/supervisor/users.h"
#include "lib/own.h"

enum { EXIT_USAGE = 2, EXIT_FAILED = 1, HANDED_MAX = CONFIG_LISTENERS_MAX + 2 };
enum { AGAIN_TIMES = 20, AGAIN_NS = 50000000 };

struct handed {
	int tcp[CONFIG_LISTENERS_MAX];
	size_t n_tcp;
	int udp, control;
};

static int
check_kernel(const struct config *c)
{
	const char *why;

	if (sandbox_supported(&why) == 0)
		return 0;
	if (c->sandbox == CONFIG_SANDBOX_BEST_EFFORT) {
		log_line(LOG_WARNING, "running without the full sandbox: %s", why);
		return 0;
	}
	log_line(LOG_ERR, "%s; to run without it say sandbox = \"best-effort\" in %s", why,
		 c->file);
	return EXIT_FAILED;
}

/* The supervisor holds several descriptors a session. */
static void
raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

/* --- the runtime directory */

static int
become_names(const struct config *c, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *pw = getpwnam(c->run_as);

	if (pw == NULL) {
		log_line(LOG_ERR,
			 "run_as: no user \"%s\" on this machine; make it with systemd-sysusers or "
			 "useradd --system, "
			 "or write run_as = \"root\" to stay root",
			 c->run_as);
		return EXIT_USAGE;
	}
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	return 0;
}

static int
open_runtime_dir(struct supervisor *sup, bool as_root, uid_t uid, gid_t gid)
{
	auto_free char *copy = strdup(sup->config->control_path);
	const char *dir;

	if (copy == NULL)
		return EXIT_FAILED;
	dir = dirname(copy);
	if (mkdir(dir, 0750) == 0 && as_root && chown(dir, uid, gid) < 0)
		log_line(LOG_WARNING, "%s: cannot give it to %s: %s", dir, sup->config->run_as,
			 strerror(errno));
	sup->runtime_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sup->runtime_dir >= 0)
		return 0;
	log_line(LOG_ERR, "%s, the directory of control.path: %s", dir, strerror(errno));
	return EXIT_FAILED;
}

/* What a daemon that was killed held, its roles may still hold for a moment. */
static bool
try_again(int *tries)
{
	const struct timespec pause = { .tv_nsec = AGAIN_NS };

	return (*tries)++ < AGAIN_TIMES && nanosleep(&pause, NULL) == 0;
}

/* One daemon a runtime directory; the lock lives as long as the process. */
static int
hold_pid_file(struct supervisor *sup)
{
	auto_close int fd =
	    openat(sup->runtime_dir, "ftd.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = -1, tries = 0;

	do {
		r = fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) : -1;
	} while (r < 0 && errno == EWOULDBLOCK && try_again(&tries));
	if (r < 0) {
		log_line(LOG_ERR, "ftd.pid beside %s: %s", sup->config->control_path,
			 errno == EWOULDBLOCK ? "another ftd runs with it" : strerror(errno));
		return EXIT_FAILED;
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_line(LOG_WARNING, "ftd.pid: %s", strerror(errno));
	sup->pid_fd = take_fd(&fd);
	return 0;
}

/* --- sockets */

static int
take_handed(struct handed *h)
{
	int n = sd_listen_fds(1);
	int fd;

	*h = (struct handed){ .udp = -1, .control = -1 };
	if (n > HANDED_MAX) {
		log_line(LOG_ERR, "systemd handed over %d sockets, at most %d are known", n,
			 (int)HANDED_MAX);
		return EXIT_FAILED;
	}
	for (int i = 0; i < n; i++) {
		fd = SD_LISTEN_FDS_START + i;
		if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0 && h->control < 0) {
			h->control = fd;
		} else if (sd_is_socket(fd, AF_UNSPEC, SOCK_DGRAM, -1) > 0 && h->udp < 0) {
			h->udp = fd;
		} else if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0 &&
			   h->n_tcp < CONFIG_LISTENERS_MAX) {
			h->tcp[h->n_tcp++] = fd;
		} else {
			log_line(
			    LOG_ERR,
			    "socket %d from systemd is neither TCP, UDP nor the control socket", i);
			return EXIT_FAILED;
		}
	}
	return 0;
}

static int
open_control(const struct config *c)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const struct group *gr = getgrnam(c->control_group);
	mode_t before;
	int r;

	if (fd < 0)
		return -errno;
	if (strlen(c->control_path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, c->control_path, strlen(c->control_path));
	(void)unlink(c->control_path); /* a former daemon's; the pid file says that none runs */
	before = umask(0117);
	r = bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ? -errno : 0;
	(void)umask(before);
	if (r < 0)
		return r;
	/* the group of who made it is the right one already, as under systemd, which refuses chown
	 */
	if (gr == NULL ||
	    (gr->gr_gid != getegid() && chown(c->control_path, (uid_t)-1, gr->gr_gid) < 0))
		log_line(LOG_WARNING,
			 "%s: cannot give it to the group %s: only its owner may use it",
			 c->control_path, c->control_group);
	return take_fd(&fd);
}

static void
tell_problems(const struct config *c, struct config_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		log_line(LOG_ERR, "%s:%d: %s", c->file, problems->list[i].line,
			 problems->list[i].text);
	config_problems_done(problems);
}

static int
open_udp(const struct config *c, int *ret)
{
	struct config_problems problems = { .n = 0 };
	int r, tries = 0;

	do {
		config_problems_done(&problems);
		r = listeners_open_udp(c, &problems, ret);
	} while (r < 0 && try_again(&tries));
	tell_problems(c, &problems);
	return r;
}

static int
open_sockets(struct supervisor *sup, struct start_sockets *s)
{
	struct config_problems problems = { .n = 0 };
	struct handed h;
	int r;

	if (take_handed(&h) != 0)
		return EXIT_FAILED;
	r = h.n_tcp > 0 ? listeners_adopt(sup, h.tcp, h.n_tcp, &s->listeners)
			: listeners_open(sup, sup->config, NULL, &problems, &s->listeners);
	s->udp = h.udp;
	tell_problems(sup->config, &problems);
	if (s->udp < 0 && open_udp(sup->config, &s->udp) < 0)
		r = -EINVAL;
	if (r < 0)
		return EXIT_FAILED;
	s->control = h.control >= 0 ? h.control : open_control(sup->config);
	if (s->control < 0) {
		log_line(LOG_ERR, "control socket %s: %s", sup->config->control_path,
			 strerror(-s->control));
		return EXIT_FAILED;
	}
	return 0;
}

/* What another binary had open. A listening socket that cannot be had anew is no reason to end. */
static int
carry_sockets(struct supervisor *sup, const struct carried *carried, struct start_sockets *s)
{
	struct config_problems problems = { .n = 0 };
	struct listeners *former = NULL;
	int r = listeners_carry(sup, carried->listen, carried->n_listen, carried->sockets.handed,
				&former);

	if (r < 0) {
		log_line(LOG_ERR, "cannot take over the listening sockets: %s", strerror(-r));
		return EXIT_FAILED;
	}
	s->listeners = former;
	if (!carried->sockets.handed &&
	    listeners_open(sup, sup->config, former, &problems, &s->listeners) == 0)
		listeners_free(former);
	tell_problems(sup->config, &problems);
	s->control = (int)carried->sockets.control;
	s->udp = (int)carried->sockets.udp;
	sup->pid_fd = (int)carried->sockets.pid_file;
	const int fds[] = { s->control, s->udp, sup->pid_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	return 0;
}

/* --- the state directory: numbers that are never used again */

static void
open_state(struct supervisor *sup)
{
	const char *dir = getenv("STATE_DIRECTORY");
	auto_close int fd = -1;
	int r;

	fd = open(dir != NULL ? dir : LOCALSTATEDIR "/lib/ftd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
		close_fd(&fd);
	/* an ordinary user's daemon has no state directory: the runtime directory lives long enough
	 */
	if (fd < 0)
		fd = fcntl(sup->runtime_dir, F_DUPFD_CLOEXEC, 0);
	r = ids_open(&sup->ids, take_fd(&fd));
	if (r < 0)
		log_line(LOG_WARNING, "cannot keep the numbers of sessions over a restart: %s",
			 strerror(-r));
}

/* What is left of the rights that the daemon was started with. */
static int
shed_rights(struct supervisor *sup, bool drop)
{
	struct config *c = sup->config;
	int r = 0;

	if (drop)
		r = creds_become(c->run_as);
	else if (geteuid() != 0)
		r = capabilities_keep();
	if (r < 0) {
		log_line(LOG_ERR, "cannot %s%s: %s", drop ? "become " : "give up capabilities",
			 drop ? c->run_as : "", strerror(-r));
		return EXIT_FAILED;
	}
	c->own_uids = r == 1 || geteuid() == 0;
	/* nothing that is started from here on may gain rights by an exec; a unit says the same */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	log_line(LOG_ERR, "cannot give up new privileges: %s", strerror(errno));
	return EXIT_FAILED;
}

/* As who the sessions are. What is wrong with one keeps only its clients from being served. */
static int
look_at_shares(struct supervisor *sup)
{
	struct config_problems problems = { .n = 0 };
	int r = survey_roots(sup, NULL, sup->config, &problems);

	for (size_t i = 0; i < problems.n; i++)
		log_line(LOG_WARNING, "%s:%d: %s", sup->config->file, problems.list[i].line,
			 problems.list[i].text);
	config_problems_done(&problems);
	if (r < 0)
		log_line(LOG_ERR, "cannot look at the share roots: %s", strerror(-r));
	return r < 0 ? EXIT_FAILED : 0;
}

/* Read as who the verifiers are. */
static int
read_users(struct supervisor *sup)
{
	struct config_problems problems = { .n = 0 };
	int r = users_load(sup->config, &problems, &sup->users);

	for (size_t i = 0; i < problems.n; i++)
		log_line(LOG_ERR, "%s", problems.list[i].text);
	config_problems_done(&problems);
	return r < 0 ? EXIT_USAGE : 0;
}

int
start_prepare(struct supervisor *sup, const struct carried *carried, struct start_sockets *ret)
{
	struct start_sockets s = { .control = -1, .udp = -1 };
	const struct config *c = sup->config;
	bool drop = geteuid() == 0 && strcmp(c->run_as, "root") != 0;
	uid_t uid = 0;
	gid_t gid = 0;
	int r;

	r = check_kernel(c);
	raise_descriptor_limit();
	if (r == 0 && drop)
		r = become_names(c, &uid, &gid);
	if (r == 0)
		r = open_runtime_dir(sup, drop, uid, gid);
	if (r == 0 && carried != NULL)
		r = carry_sockets(sup, carried, &s);
	if (r == 0 && carried == NULL)
		r = hold_pid_file(sup);
	if (r == 0 && carried == NULL)
		r = open_sockets(sup, &s);
	if (r == 0)
		r = shed_rights(sup, drop);
	if (r == 0)
		r = look_at_shares(sup);
	if (r == 0)
		r = read_users(sup);
	if (r != 0) {
		listeners_free(s.listeners);
		close_fd(&s.control);
		close_fd(&s.udp);
		return r;
	}
	open_state(sup);
	*ret = s;
	return 0;
}
