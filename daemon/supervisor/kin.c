#include "daemon/supervisor/kin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/num.h"
#include "lib/own.h"

/* proc(5), /proc/pid/stat: of the fields behind the name that is the 20th */
enum { STAT_MAX = 4096, STARTTIME = 20 };

/* In clock ticks. */
static int
read_start(pid_t pid, uint64_t *ret)
{
	auto_free char *text = NULL;
	char path[32], *at;
	size_t len;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = io_read_file(AT_FDCWD, path, STAT_MAX, &text, &len);
	if (r < 0)
		return r;
	at = strrchr(text, ')'); /* the name may have anything in it */
	for (int field = 0; at != NULL && field < STARTTIME; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return -EBADMSG;
	at[1 + strcspn(at + 1, " ")] = '\0';
	return num_parse_u64(at + 1, INT64_MAX, ret);
}

static bool
fits(const struct board_process *p, uint64_t start_ticks)
{
	uint64_t tick = USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

	/* rounded down by the kernel */
	return (start_ticks + 1) * tick > p->asked_usec && start_ticks * tick <= p->born_usec;
}

bool
kin_is_child(pid_t pid)
{
	siginfo_t si;

	return pid > 1 && waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool
kin_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

void
kin_wait(int pidfd, uint64_t until_usec)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	uint64_t now = clock_usec();

	while (now < until_usec) {
		if (poll(&p, 1, (int)((until_usec - now) / USEC_PER_MSEC) + 1) >= 0)
			return;
		now = clock_usec();
	}
}

enum kin
kin_find(const struct board_process *p, int *ret_pidfd)
{
	auto_close int pidfd = p->pid > 1 ? (int)syscall(SYS_pidfd_open, p->pid, 0) : -1;
	uint64_t start = 0;
	bool known;

	*ret_pidfd = -1;
	if (pidfd < 0)
		return p->pid <= 1 || errno == ESRCH ? KIN_GONE : KIN_UNKNOWN;
	known = read_start(p->pid, &start) == 0;
	/* what was read is of the process that the descriptor has, if that has not ended */
	if (kin_ended(pidfd) || (known && !fits(p, start)))
		return KIN_GONE;
	*ret_pidfd = take_fd(&pidfd);
	return known ? KIN_OURS : KIN_UNKNOWN;
}
