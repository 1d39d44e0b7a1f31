#include "client/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "lib/own.h"

static atomic_bool seen; /* threads look at it, too */

static void
note(int signal_number)
{
	(void)signal_number;
	seen = true;
	(void)alarm(1);
}

int
interrupt_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM };
	struct sigaction act = { .sa_handler = note }; /* no SA_RESTART: waiting must end */
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], &act, NULL) < 0)
			return -errno;
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0)
		return -errno;
	return 0;
}

bool
interrupt_seen(void)
{
	return seen;
}
