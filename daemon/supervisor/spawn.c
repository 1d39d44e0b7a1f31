#include "daemon/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/common/capabilities.h"
#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "lib/io.h"
#include "lib/own.h"

/* Everything to numbers above those that roles find them at, then down to them. */
static void
place_descriptors(const struct spawn *how, int sock)
{
	const int from[] = { sock,           how->log_fd,     how->config_fd, how->public_fd,
			     how->orders_fd, how->reports_fd, how->extra_fd };
	int high[ARRAY_SIZE(from)];

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, ROLE_FD_EXTRA + 1);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		(void)close(ROLE_FD_HOUSE + (int)i);
		if (high[i] >= 0 && dup2(high[i], ROLE_FD_HOUSE + (int)i) < 0)
			_exit(ROLE_EXIT_SETUP);
	}
	(void)syscall(SYS_close_range, ROLE_FD_EXTRA + 1, ~0U, 0);
}

/* A role's words go through the log socket; only a sanitizer's report needs a stderr. */
static void
silence(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(ROLE_EXIT_SETUP);
#ifndef WITH_SANITIZERS
	if (dup2(null, STDERR_FILENO) < 0)
		_exit(ROLE_EXIT_SETUP);
#endif
	if (null > STDERR_FILENO)
		(void)close(null);
}

static void __attribute__((noreturn)) exec_role(const struct spawn *how, int sock)
{
	char title[] = "ftd", flag[] = "--role";
	char name[32];
	char *argv[] = { title, flag, name, NULL };

	(void)snprintf(name, sizeof(name), "%s", how->name);
	silence();
	place_descriptors(how, sock);
	role_reset_signals();
	/* a terminal's signals are for the supervisor, which then ends us in order */
	(void)setsid();
	/* root needs nobody's leave */
	if (how->may_become && geteuid() != 0 && capabilities_hand_on() < 0)
		_exit(ROLE_EXIT_SETUP);
	if (how->nice != 0)
		(void)setpriority(PRIO_PROCESS, 0, how->nice);
	(void)execv("/proc/self/exe", argv);
	_exit(ROLE_EXIT_SETUP);
}

int
spawn_role(const struct spawn *how, pid_t *ret_pid, int *ret_sock)
{
	auto_close int ours = -1;
	auto_close int theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	if (io_set_nonblock(ours, 1) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_role(how, theirs);
	*ret_pid = pid;
	*ret_sock = take_fd(&ours);
	return 0;
}

int
spawn_seal_config(const struct config *c)
{
	auto_close int fd = memfd_create("ftd.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_full(fd, c, sizeof(*c));
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(&fd);
}

/* ---- another binary */

enum { STATE_FD = 3 };

static void __attribute__((noreturn))
exec_check(int binary, const char *config_file, int state_fd, int said)
{
	char title[] = "ftd", check[] = "--check", state[] = "--state", number[] = "3";
	char file[PATH_MAX];
	char *argv[] = { title, check, file, state, number, NULL };
	int own = fcntl(binary, F_DUPFD_CLOEXEC, STATE_FD + 1);

	(void)snprintf(file, sizeof(file), "%s", config_file);
	silence();
	if (own < 0 || dup2(said, STDERR_FILENO) < 0 || dup2(state_fd, STATE_FD) < 0)
		_exit(ROLE_EXIT_SETUP);
	if (STATE_FD == state_fd && fcntl(STATE_FD, F_SETFD, 0) < 0)
		_exit(ROLE_EXIT_SETUP);
	role_reset_signals();
	(void)setsid();
	(void)fexecve(own, argv, environ);
	(void)dprintf(STDERR_FILENO, "cannot execute the new binary: %s\n", strerror(errno));
	_exit(ROLE_EXIT_SETUP);
}

int
spawn_check(int binary, const char *config_file, int state_fd, pid_t *ret_pid, int *ret_said)
{
	auto_close int ours = -1;
	auto_close int theirs = -1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	ours = ends[0];
	theirs = ends[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_check(binary, config_file, state_fd, theirs);
	*ret_pid = pid;
	*ret_said = take_fd(&ours);
	return 0;
}

int
spawn_replace(int binary, const char *config_file, int state_fd)
{
	char title[] = "ftd", config[] = "--config", state[] = "--state";
	char file[PATH_MAX], number[16];
	char *argv[] = { title, config, file, state, number, NULL };

	(void)snprintf(file, sizeof(file), "%s", config_file);
	(void)snprintf(number, sizeof(number), "%d", state_fd);
	(void)fexecve(binary, argv, environ);
	return -errno;
}
