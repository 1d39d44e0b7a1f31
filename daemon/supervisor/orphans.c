#include "daemon/supervisor/orphans.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/supervisor/gates.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/sessions.h"
#include "lib/clock.h"

#define PATIENCE (2 * USEC_PER_SEC)
#define STEP_NS 5000000L

/* proc(5): the children of this thread, and we have only one. Calls look for each. */
static void
each_child(void (*look)(void *userdata, pid_t pid), void *userdata)
{
	char path[64];
	FILE *f;
	int pid;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		look(userdata, pid);
	(void)fclose(f);
}

static void
kill_child(void *userdata, pid_t pid)
{
	(void)userdata;
	(void)kill(pid, SIGKILL);
}

static void
tell_of_child(void *userdata, pid_t pid)
{
	(void)userdata;
	log_line(LOG_ERR,
		 "process %d was killed and does not end, as in a file system that hangs: leaving "
		 "it behind",
		 (int)pid);
}

struct others {
	const struct supervisor *sup;
	bool kill;
	unsigned n;
};

static void
look_at(void *userdata, pid_t pid)
{
	struct others *o = userdata;
	uint64_t number;
	union addr peer;

	if (sessions_of_pid(o->sup, pid) != NULL || gates_of_pid(o->sup, pid, &number, &peer) == 0)
		return;
	o->n++;
	if (o->kill)
		(void)kill(pid, SIGKILL);
}

bool
orphans_none_but_kin(const struct supervisor *sup, bool kill)
{
	struct others o = { .sup = sup, .kill = kill };

	each_child(look_at, &o);
	return o.n == 0;
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
			each_child(killed ? tell_of_child : kill_child, NULL);
			if (killed)
				return;
			killed = true;
			deadline += PATIENCE;
		}
		(void)nanosleep(&step, NULL);
	}
}
