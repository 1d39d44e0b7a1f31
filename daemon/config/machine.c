#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/config/config.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/users.h"

enum {
	MACHINE_FDS_SESSION = 5, /* the supervisor's descriptors for one session over TLS */
	MACHINE_FDS_OTHER = 64,
};

#define WRITING_RIGHTS (RIGHT_ALL & ~(unsigned)(RIGHT_READ | RIGHT_LIST))

static bool
becomes_user(const struct config *c)
{
	return geteuid() == 0 && strcmp(c->run_as, "root") != 0;
}

/* 0, or why the user certainly cannot write there: -EACCES, or -EROFS as in the systemd unit. */
static int
unwritable(const struct config *c, const char *root, const struct stat *st, uid_t uid)
{
	bool may = faccessat(AT_FDCWD, root, W_OK, AT_EACCESS) == 0;

	if (!may && errno == EROFS)
		return -EROFS;
	if (becomes_user(c)) /* what group or ACL allow is not judged */
		may = uid == 0 || st->st_uid == uid || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
	return may ? 0 : -EACCES;
}

static void
complain_unwritable(const char *root, unsigned i, const char *who, int line, int r,
		    struct config_problems *problems)
{
	config_problem_add(problems, false, line,
			   "shares[%u].root: %s cannot write to %s; %s, or set "
			   "rights = \"readonly\"",
			   i, who, root,
			   r == -EROFS ? "it is read-only here (\"ftd --check\" as root tells "
					 "what the systemd unit lacks)"
				       : "chown it");
}

static void
check_directory(const struct config *c, unsigned i, const struct stat *st,
		struct config_problems *problems)
{
	const struct passwd *user = becomes_user(c) ? getpwnam(c->run_as) : NULL;
	const struct config_share *s = &c->shares[i];
	uid_t uid = user != NULL ? user->pw_uid : geteuid();
	int r;

	if (!S_ISDIR(st->st_mode))
		config_problem_add(problems, true, s->line,
				   "shares[%u].root: %s is not a directory", i, s->root);
	else if ((config_share_rights(c, s) & WRITING_RIGHTS) != 0 &&
		 (r = unwritable(c, s->root, st, uid)) < 0)
		complain_unwritable(s->root, i, becomes_user(c) ? c->run_as : "this user", s->line,
				    r, problems);
}

static void
complain_missing(const struct config *c, unsigned i, struct config_problems *problems)
{
	const struct config_share *s = &c->shares[i];
	const char *owner = becomes_user(c) ? c->run_as : "";

	config_problem_add(problems, true, s->line,
			   "shares[%u].root: there is no %s; make it with: mkdir -p '%s'%s%s%s%s%s",
			   i, s->root, s->root, *owner ? " && chown " : "", owner,
			   *owner ? ": '" : "", *owner ? s->root : "", *owner ? "'" : "");
}

/* Whose a file is stays with it. */
static void
check_attributes(const struct config *c, unsigned i, struct config_problems *problems)
{
	const struct config_share *s = &c->shares[i];

	if (s->quota == NUM_UNLIMITED || getxattr(s->root, "user.ftd", NULL, 0) >= 0 ||
	    errno != EOPNOTSUPP)
		return;
	config_problem_add(problems, true, s->line,
			   "shares[%u].quota: the file system of %s has no extended attributes of "
			   "users, which a quota needs; choose another, or quota = \"unlimited\"",
			   i, s->root);
}

dev_t
config_check_root(const struct config *c, unsigned i, struct config_problems *problems)
{
	const struct config_share *s = &c->shares[i];
	struct stat st;

	if (stat(s->root, &st) < 0) {
		if (errno == ENOENT)
			complain_missing(c, i, problems);
		else
			config_problem_add(problems, true, s->line, "shares[%u].root: %s: %s", i,
					   s->root, strerror(errno));
		return 0;
	}
	check_directory(c, i, &st, problems);
	check_attributes(c, i, problems);
	return st.st_dev;
}

static void
check_user(const struct config *c, struct config_problems *problems)
{
	if (becomes_user(c) && getpwnam(c->run_as) == NULL)
		config_problem_add(problems, true, c->line[CONFIG_AT_run_as],
				   "run_as: there is no user \"%s\"; add one with systemd-sysusers "
				   "or: useradd --system "
				   "--shell /usr/sbin/nologin %s; or set run_as = \"root\"",
				   c->run_as, c->run_as);
}

/* Only root can give the socket away, so that a missing group keeps only root from starting. */
static void
check_group(const char *option, const char *group, int line, struct config_problems *problems)
{
	if (getgrnam(group) == NULL)
		config_problem_add(
		    problems, geteuid() == 0, line,
		    "%s: there is no group \"%s\"; add it with: groupadd --system %s", option,
		    group, group);
}

static int
try_bind(const char *address, uint16_t port, int type, char *ret_text)
{
	auto_close int fd = -1;
	int on = 1, off = 0;
	union addr a;
	socklen_t len;
	int r;

	r = addr_parse(address, port, &a, &len);
	if (r < 0)
		return r;
	(void)addr_format(&a, ret_text);
	fd = socket(a.sa.sa_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* datagram sockets would share the port */
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (a.sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -errno;
	return bind(fd, &a.sa, len) < 0 ? -errno : 0;
}

/* Whether a daemon listens at the control socket, or may do so where this user must not look: the
 * addresses in use are then its own. */
static bool
daemon_runs(const struct config *c)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	_Static_assert(sizeof(a.sun_path) > 107, "control.path may be longer than a socket's path");
	memcpy(a.sun_path, c->control_path, strlen(c->control_path) + 1);
	return fd >= 0 && (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 ||
			   (errno != ENOENT && errno != ECONNREFUSED));
}

static bool
is_skipped(const char *text, const char *const *skip, size_t n_skip)
{
	for (size_t i = 0; i < n_skip; i++)
		if (strcmp(text, skip[i]) == 0)
			return true;
	return false;
}

static void
complain_bind(const char *option, const char *text, int line, int r,
	      struct config_problems *problems)
{
	switch (r) {
	case -EADDRINUSE:
		config_problem_add(problems, true, line,
				   "%s: %s is in use by another program; end it or choose another "
				   "port (ss -lntup names it)",
				   option, text);
		break;
	case -EADDRNOTAVAIL:
		config_problem_add(problems, true, line,
				   "%s: this machine does not have the address of %s", option,
				   text);
		break;
	case -EACCES:
		config_problem_add(problems, true, line,
				   "%s: %s: ports below 1024 need root, CAP_NET_BIND_SERVICE or "
				   "the socket unit ftd.socket",
				   option, text);
		break;
	case -EAFNOSUPPORT:
		config_problem_add(
		    problems, true, line,
		    "%s: %s: IPv6 is off on this machine; use \"0.0.0.0\" for all IPv4 addresses",
		    option, text);
		break;
	default:
		config_problem_add(problems, true, line, "%s: %s cannot be bound: %s", option, text,
				   strerror(-r));
	}
}

struct skipped {
	const char *const *list;
	size_t n;
	bool running; /* a daemon has what is in use */
};

static void
check_bind(const char *option, const char *address, uint16_t port, int type, int line,
	   const struct skipped *skip, struct config_problems *problems)
{
	char text[ADDR_TEXT_MAX] = "";
	int r = try_bind(address, port, type, text);

	if (r == 0 || (r == -EADDRINUSE && skip->running) || is_skipped(text, skip->list, skip->n))
		return;
	complain_bind(option, text, line, r, problems);
}

static void
check_addresses(const struct config *c, const struct skipped *skip,
		struct config_problems *problems)
{
	char option[32];

	for (unsigned i = 0; i < c->n_listen; i++) {
		const struct config_listener *l = &c->listen[i];

		(void)snprintf(option, sizeof(option), "listen[%u]", i);
		check_bind(option, l->address, l->port, SOCK_STREAM, l->line, skip, problems);
	}
	if (c->status_address[0] != '\0')
		check_bind("status", c->status_address, (uint16_t)c->status_port, SOCK_DGRAM,
			   c->status_line, skip, problems);
}

static void
check_descriptors(const struct config *c, struct config_problems *problems)
{
	uint64_t need = c->sessions * MACHINE_FDS_SESSION + MACHINE_FDS_OTHER;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max == RLIM_INFINITY ||
	    need <= limit.rlim_max)
		return;
	config_problem_add(
	    problems, true, c->line[CONFIG_AT_sessions],
	    "limits.sessions: %" PRIu64 " sessions need %" PRIu64
	    " descriptors, the limit is %" PRIu64
	    "; raise LimitNOFILE= in the systemd unit (or ulimit -Hn), or lower limits.sessions",
	    c->sessions, need, (uint64_t)limit.rlim_max);
}

static int
complain_users(const struct config *c, int line, const char *why, struct config_problems *problems)
{
	char where[16] = "";

	if (line > 0)
		(void)snprintf(where, sizeof(where), ":%d", line);
	config_problem_add(problems, true, c->line[CONFIG_AT_users], "users: %s%s: %s", c->users,
			   where, why);
	return -EINVAL;
}

int
config_read_users(const struct config *c, uid_t reader, char **ret_text, size_t *ret_len,
		  struct config_problems *problems)
{
	auto_free char *text = NULL;
	char why[USERS_WHY_MAX];
	int r, line = 0;
	size_t len = 0;

	r = users_read_as(reader, c->users, &text, &len, why);
	if (r == 0)
		r = users_check(text, len, &line, why);
	else if (r == -ENOENT) {
		text = strdup("");
		r = text == NULL ? -ENOMEM : 0;
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return complain_users(c, line, why, problems);
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

/* Root can read everything; the daemon reads it as another. */
static void
check_readable(const struct config *c, const struct passwd *reader,
	       struct config_problems *problems)
{
	struct stat st;
	mode_t bit;

	if (stat(c->users, &st) < 0)
		return;
	bit = st.st_uid == reader->pw_uid   ? S_IRUSR
	      : st.st_gid == reader->pw_gid ? S_IRGRP
					    : S_IROTH;
	if ((st.st_mode & bit) == 0)
		config_problem_add(
		    problems, true, c->line[CONFIG_AT_users],
		    "users: %s cannot read %s; chgrp it to a group of %s and chmod 0640",
		    reader->pw_name, c->users, reader->pw_name);
}

static void
check_users(const struct config *c, struct config_problems *problems)
{
	const struct passwd *reader = becomes_user(c) ? getpwnam(c->run_as) : NULL;
	auto_free char *text = NULL;
	size_t len;

	(void)config_read_users(c, reader != NULL ? reader->pw_uid : geteuid(), &text, &len,
				problems);
	if (reader != NULL)
		check_readable(c, reader, problems);
}

int
config_check_machine(const struct config *c, const char *const *skip, size_t n_skip,
		     struct config_problems *problems)
{
	struct skipped skipped = { .list = skip, .n = n_skip, .running = daemon_runs(c) };

	check_user(c, problems);
	check_group("control.group", c->control_group, c->line[CONFIG_AT_control_group], problems);
	check_group("control.operator_group", c->control_operator_group,
		    c->line[CONFIG_AT_control_operator_group], problems);
	check_addresses(c, &skipped, problems);
	check_descriptors(c, problems);
	check_users(c, problems);
	return config_problems_fatal(problems) ? -EINVAL : 0;
}
