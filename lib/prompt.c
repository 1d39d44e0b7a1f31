#include "lib/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/io.h"

int
prompt_open(void)
{
	int fd = openat(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* One line of the terminal without its end. A key that would be a signal is none yet: the one of
 * Ctrl-C ends the line. */
static int
read_line(int tty, char interrupt, char *dst, size_t size)
{
	ssize_t n = read(tty, dst, size);

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENODATA;
	if (interrupt != _POSIX_VDISABLE && dst[n - 1] == interrupt)
		return -ECANCELED;
	if (dst[n - 1] != '\n')
		return (size_t)n == size ? -EMSGSIZE : -ENODATA;
	dst[--n] = '\0';
	return strlen(dst) == (size_t)n ? (int)n : -EINVAL;
}

int
prompt_secret(int tty, const char *question, char *dst, size_t size)
{
	struct termios before, silent;
	int r;

	if (tcgetattr(tty, &before) < 0)
		return -errno;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	silent.c_cc[VEOL] = before.c_cc[VINTR];
	if (tcsetattr(tty, TCSAFLUSH, &silent) < 0)
		return -errno;
	r = io_write_full(tty, question, strlen(question));
	if (r == 0)
		r = read_line(tty, (char)before.c_cc[VINTR], dst, size);
	if (r < 0)
		explicit_bzero(dst, size);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	(void)io_write_full(tty, "\n", 1);
	if (r != -ECANCELED)
		return r;
	(void)raise(SIGINT);
	return -EINTR;
}
