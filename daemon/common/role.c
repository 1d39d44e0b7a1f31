#include "daemon/common/role.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/common/packet.h"
#include "daemon/common/sandbox.h"
#include "lib/io.h"
#include "lib/own.h"

int
role_begin(const char *name)
{
	role_set_name(name);
	role_reset_signals();
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return sandbox_guard(ROLE_FD_LOG);
}

int
role_limit_memory(size_t bytes)
{
#ifdef WITH_SANITIZERS
	(void)bytes; /* their own memory counts */
	return 0;
#else
	const struct rlimit limit = { bytes, bytes };

	return setrlimit(RLIMIT_DATA, &limit) < 0 ? -errno : 0;
#endif
}

void
role_reset_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &usual, NULL); /* KILL and STOP refuse; so be it */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
role_set_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

static bool
is_kept(int fd, const int *keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

void
role_close_others(int keep_below, const int *keep, size_t n)
{
	int top = keep_below;

	for (size_t i = 0; i < n; i++)
		if (keep[i] > top)
			top = keep[i];
	for (int fd = keep_below + 1; fd < top; fd++)
		if (!is_kept(fd, keep, n))
			(void)close(fd);
	(void)syscall(SYS_close_range, (unsigned)top + 1, ~0U, 0);
}

int
role_map_config(int fd, const struct config **ret)
{
	auto_close int own = fd;
	const struct config *c;
	struct stat st;
	void *p;

	if (fstat(own, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(struct config))
		return -EINVAL;
	p = mmap(NULL, sizeof(struct config), PROT_READ, MAP_SHARED, own, 0);
	if (p == MAP_FAILED)
		return -errno;
	c = p;
	if (c->size != sizeof(struct config)) {
		(void)munmap(p, sizeof(struct config));
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

pid_t
role_clone(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
}

static int
announce(enum house_type type, uint64_t connection, pid_t pid, int error)
{
	struct packet_house p = {
		.type = (uint32_t)type,
		.pid = pid,
		.error = error,
		.connection = connection,
	};

	return io_send_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, 0);
}

static int
birth(const struct packet_birth *b, const int *fds,
      void (*child)(const struct packet_birth *birth, const int *fds))
{
	pid_t pid = role_clone();

	if (pid < 0)
		return announce(HOUSE_FAILED, b->connection, 0, -errno);
	if (pid == 0) {
		/* said by the child as well, so that it is known before anything that the child
		 * logs */
		(void)announce(HOUSE_BORN, b->connection, getpid(), 0);
		(void)close(ROLE_FD_HOUSE);
		child(b, fds);
		_exit(ROLE_EXIT_BROKEN);
	}
	return announce(HOUSE_BORN, b->connection, pid, 0);
}

/* 1: one more was born; 0: the supervisor has closed; negative: the exit class, negated. */
static int
serve_birth(void (*child)(const struct packet_birth *birth, const int *fds), size_t n_fds)
{
	int fds[BIRTH_FDS] = { -1, -1, -1 };
	struct packet_birth b;
	ssize_t n;
	int r;

	do {
		n = io_recv_packet(ROLE_FD_HOUSE, &b, sizeof(b), fds, n_fds, NULL, 0);
	} while (n == -EINTR);
	if (n == 0)
		return 0;
	r = n == (ssize_t)sizeof(b) ? 1 : -ROLE_EXIT_PROTOCOL;
	for (size_t i = 0; i < n_fds; i++)
		if (fds[i] < 0)
			r = -ROLE_EXIT_PROTOCOL;
	if (r > 0 && birth(&b, fds, child) < 0)
		r = -ROLE_EXIT_BROKEN;
	for (size_t i = 0; i < n_fds; i++)
		close_fd(&fds[i]);
	return r;
}

int
house_loop(void (*child)(const struct packet_birth *birth, const int *fds), size_t n_fds)
{
	int r;

	if (announce(HOUSE_READY, 0, 0, 0) < 0)
		return ROLE_EXIT_BROKEN;
	do {
		r = serve_birth(child, n_fds);
	} while (r > 0);
	return -r;
}
