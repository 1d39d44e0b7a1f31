#include "client/password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/interrupt.h"
#include "client/netrc.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/prompt.h"
#include "lib/text.h"

#define COMMAND "--password-command"
#define FILE_VARIABLE "FT_PASSWORD_FILE"

/* Nothing goes on without the password that was meant. */
static int
refuse(struct failure *f, int r, const char *from, const char *why)
{
	if (interrupt_seen())
		return failure_interrupted(f);
	if (why == NULL)
		why = err_text(r);
	return failure_set(f, FAILURE_STOP, STATUS_LOCAL, "local", "%s: %s", from, why);
}

static int
keep_first_line(struct secret *read, const char *from, struct secret *ret, struct failure *f)
{
	if (secret_first_line(read) < 0)
		return refuse(f, -EINVAL, from,
			      "no password there: a line of UTF-8, of 1 to 1024 bytes");
	secret_move(ret, read);
	return 0;
}

/* --- from a command */

/* Our input may be a file on its way. */
static int
set_files(posix_spawn_file_actions_t *files, int out)
{
	int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	return r != 0 ? r : posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
}

/* We ignore signals that a command expects. */
static int
set_signals(posix_spawnattr_t *how)
{
	sigset_t ignored;
	int r;

	(void)sigemptyset(&ignored);
	(void)sigaddset(&ignored, SIGPIPE);
	(void)sigaddset(&ignored, SIGXFSZ);
	r = posix_spawnattr_setsigdefault(how, &ignored);
	return r != 0 ? r : posix_spawnattr_setflags(how, POSIX_SPAWN_SETSIGDEF);
}

static int
start(const char *command, int out, pid_t *ret)
{
	char *const argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			       (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	int r;

	(void)posix_spawn_file_actions_init(&files); /* neither can fail here */
	(void)posix_spawnattr_init(&how);
	r = set_files(&files, out);
	if (r == 0)
		r = set_signals(&how);
	if (r == 0)
		r = posix_spawn(ret, "/bin/sh", &files, &how, argv, environ);
	(void)posix_spawnattr_destroy(&how);
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* Its wait status, once it has ended. */
static int
end(pid_t pid, bool early)
{
	int status;

	if (early)
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

int
password_from_command(const char *command, struct secret *ret, struct failure *f)
{
	auto_secret struct secret said = { .text = NULL };
	auto_close int in = -1, out = -1;
	int pair[2], status, r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return refuse(f, -errno, COMMAND, NULL);
	in = pair[0];
	out = pair[1];
	r = start(command, out, &pid);
	if (r < 0)
		return refuse(f, r, COMMAND, NULL);
	close_fd(&out);
	r = secret_read(in, &said);
	close_fd(&in);
	status = end(pid, r < 0);
	if (r < 0)
		return refuse(f, r, COMMAND, NULL);
	if (status != 0)
		return refuse(f, -EIO, COMMAND, "the command failed");
	return keep_first_line(&said, COMMAND, ret, f);
}

/* --- from files */

/* A pipe is as good as a file; what is read of it is nobody else's. */
static int
read_named(const char *path, struct secret *ret)
{
	auto_close int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (st.st_mode & 007) != 0)
		return -EPERM;
	return secret_read(fd, ret);
}

int
password_from_file(const char *path, struct secret *ret, struct failure *f)
{
	auto_secret struct secret read = { .text = NULL };
	int r = read_named(path, &read);

	if (r == -EPERM)
		return refuse(f, r, FILE_VARIABLE, "everybody can read that file: chmod o= it");
	if (r < 0)
		return refuse(f, r, FILE_VARIABLE, NULL);
	return keep_first_line(&read, FILE_VARIABLE, ret, f);
}

static int
read_netrc(struct secret *ret)
{
	const char *home = getenv("HOME");
	auto_close int dir = -1;

	if (home == NULL || *home != '/')
		return -ENOENT;
	dir = openat(AT_FDCWD, home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : secret_read_file(dir, ".netrc", ret);
}

int
password_from_netrc(const struct url *u, struct secret *ret, struct failure *f)
{
	auto_secret struct secret text = { .text = NULL }, found = { .text = NULL };
	char where[64] = "~/.netrc";
	unsigned line = 0;
	int r;

	r = read_netrc(&text);
	if (r == -ENOENT)
		return 0;
	if (r == -EPERM)
		return refuse(f, r, where, "others can look into it: chmod 600 ~/.netrc");
	if (r < 0)
		return refuse(f, r, where, NULL);
	r = netrc_find(text.text, text.len, u->host, u->user, &found, &line);
	if (r == -ENOENT)
		return 0;
	if (r == -EINVAL) {
		(void)snprintf(where, sizeof(where), "~/.netrc:%u", line);
		return refuse(f, r, where, "not understood");
	}
	if (r < 0)
		return refuse(f, r, where, NULL);
	r = keep_first_line(&found, where, ret, f);
	return r < 0 ? r : 1;
}

/* --- from a terminal */

int
password_from_terminal(const struct url *u, struct report *report, struct secret *ret,
		       struct failure *f)
{
	char typed[SECRET_PASSWORD_MAX + 2], host[URL_HOST_MAX + 1];
	char question[sizeof(host) + USER_NAME_MAX + 32];
	auto_secret struct secret read = { .text = NULL };
	auto_close int tty = prompt_open();
	int r;

	if (tty < 0)
		return 0;
	(void)snprintf(question, sizeof(question), "Password of %s@%s: ", u->user,
		       text_escape(host, sizeof(host), u->host, strlen(u->host)));
	progress_lock(&report->progress);
	r = prompt_secret(tty, question, typed, sizeof(typed));
	progress_unlock(&report->progress);
	if (r >= 0)
		r = secret_set(&read, typed, (size_t)r);
	explicit_bzero(typed, sizeof(typed));
	if (r < 0)
		return refuse(f, r, "no password", r == -ENODATA ? "none was typed" : NULL);
	r = keep_first_line(&read, "the terminal", ret, f);
	return r < 0 ? r : 1;
}
