#include "daemon/common/role.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/common/packet.h"
#include "lib/io.h"
#include "lib/own.h"

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
birth(const struct packet_birth *b, int connection, int privilege,
      void (*child)(const struct packet_birth *birth, int connection, int privilege))
{
	pid_t pid = role_clone();

	if (pid < 0)
		return announce(HOUSE_FAILED, b->connection, 0, -errno);
	if (pid == 0) {
		/* said by the child as well, so that it is known before anything that the child
		 * logs */
		(void)announce(HOUSE_BORN, b->connection, getpid(), 0);
		(void)close(ROLE_FD_HOUSE);
		child(b, connection, privilege);
		_exit(ROLE_EXIT_BROKEN);
	}
	return announce(HOUSE_BORN, b->connection, pid, 0);
}

int
house_loop(void (*child)(const struct packet_birth *birth, int connection, int privilege))
{
	struct packet_birth b;
	int fds[2];
	ssize_t n;
	int r;

	if (announce(HOUSE_READY, 0, 0, 0) < 0)
		return ROLE_EXIT_BROKEN;
	for (;;) {
		n = io_recv_packet(ROLE_FD_HOUSE, &b, sizeof(b), fds, 2, NULL, 0);
		if (n == -EINTR)
			continue;
		if (n == 0)
			return ROLE_EXIT_OK;
		if (n != (ssize_t)sizeof(b) || fds[0] < 0 || fds[1] < 0)
			return ROLE_EXIT_PROTOCOL;
		r = birth(&b, fds[0], fds[1], child);
		close_fd(&fds[0]);
		close_fd(&fds[1]);
		if (r < 0)
			return ROLE_EXIT_BROKEN;
	}
}
