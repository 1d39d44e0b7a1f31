#include "daemon/supervisor/orphans.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

#define PATIENCE (2 * USEC_PER_SEC)
#define STEP_NS 5000000L

/* proc(5): the children of this thread, and we have only one. */
static void
kill_children(void)
{
	char path[64];
	FILE *f;
	int pid;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		(void)kill(pid, SIGKILL);
	(void)fclose(f);
}

void
orphans_reap(void)
{
	const struct timespec step = { 0, STEP_NS };
	uint64_t deadline = clock_usec() + PATIENCE;
	bool killed = false;
	pid_t r;

	while ((r = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (r > 0)
			continue;
		if (clock_usec() >= deadline) {
			if (killed) /* dead, but kept by a tracer */
				return;
			kill_children();
			killed = true;
			deadline += PATIENCE;
		}
		(void)nanosleep(&step, NULL);
	}
}
