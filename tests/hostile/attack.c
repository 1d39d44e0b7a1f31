#include "tests/hostile/attack.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "daemon/common/packet.h"
#include "lib/own.h"

static const struct attempts *const sets[] = { &attack_paths,     &attack_emptying, &attack_looks,
					       &attack_processes, &attack_memory,   &attack_sockets,
					       &attack_kernel };

static const struct {
	const char *name;
	json_t *(*run)(json_t *request, const struct aim *a);
} more[] = {
	{ "packet", attack_packet }, { "log", attack_log },
	{ "report", attack_report }, { "descriptors", attack_descriptors },
	{ "hoard", attack_hoard },   { "crowd", attack_crowd },
	{ "hold", attack_hold },
};

/* ---- arguments */

static struct sockaddr_in internet;
static struct sockaddr_un local;
static char scratch[4096] __attribute__((aligned(4096)));
static const struct open_how how_read = { .flags = O_RDONLY }, how_write = { .flags = O_WRONLY },
			     how_create = { .flags = O_WRONLY | O_CREAT, .mode = 0666 },
			     how_nameless = { .flags = O_WRONLY | O_TMPFILE, .mode = 0666 },
			     how_empty = { .flags = O_RDONLY | O_TRUNC };

static long
argument(long arg, const struct aim *a)
{
	switch (arg) {
	case AIM_PATH:
		return (long)a->path;
	case AIM_PID:
		return a->pid;
	case AIM_INSIDE:
		return a->inside;
	case AIM_CONNECTION:
		return a->connection;
	case AIM_REPORT:
		return (long)a->report;
	case AIM_ORDERS:
		return (long)a->orders;
	case AIM_SHOWN:
		return (long)a->shown;
	case AIM_LOG:
		return ROLE_FD_LOG;
	case AIM_INTERNET:
		return (long)&internet;
	case AIM_UNIX:
		return (long)&local;
	case AIM_HOW_READ:
		return (long)&how_read;
	case AIM_HOW_WRITE:
		return (long)&how_write;
	case AIM_HOW_CREATE:
		return (long)&how_create;
	case AIM_HOW_NAMELESS:
		return (long)&how_nameless;
	case AIM_HOW_EMPTY:
		return (long)&how_empty;
	case AIM_SCRATCH:
		return (long)scratch;
	default:
		return arg;
	}
}

/* What the attempt needs is not there, so that there is nothing to try? */
static bool
is_pointless(const struct attempt *t, const struct aim *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->args); i++)
		if ((t->args[i] == AIM_INSIDE && a->inside < 0) ||
		    (t->args[i] == AIM_REPORT && a->report == NULL) ||
		    (t->args[i] == AIM_ORDERS && a->orders == NULL))
			return true;
	return false;
}

static int
attempt(const struct attempt *t, const struct aim *a)
{
	long v[6], r;

	if (t->run != NULL)
		return t->run(a);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = argument(t->args[i], a);
	r = syscall(t->call, v[0], v[1], v[2], v[3], v[4], v[5]);
	return r < 0 ? -errno : 0;
}

/* ---- sets: [[name, result], …]; null for what was not tried because it is fatal */

static json_t *
try_all(const struct attempts *set, const char *only, const struct aim *a)
{
	json_t *results = json_array();
	const struct attempt *t;

	for (size_t i = 0; i < set->n; i++) {
		t = &set->list[i];
		if (is_pointless(t, a) || (only != NULL && strcmp(only, t->name) != 0))
			continue;
		if (t->fatal && only == NULL)
			(void)json_array_append_new(results, json_pack("[s,n]", t->name));
		else
			(void)json_array_append_new(results,
						    json_pack("[s,i]", t->name, attempt(t, a)));
	}
	return results;
}

static void
take_aim(json_t *request, struct aim *a)
{
	const char *path = json_string_value(json_object_get(request, "path"));

	a->path = path != NULL ? path : "/";
	a->pid = (int)json_integer_value(json_object_get(request, "pid"));
	a->port = (int)json_integer_value(json_object_get(request, "port"));
	internet = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_port = htons((uint16_t)a->port),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	local = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)memcpy(local.sun_path, a->path, strnlen(a->path, sizeof(local.sun_path) - 1));
}

json_t *
attack_run(json_t *request, struct aim *a)
{
	const char *name = json_string_value(json_object_get(request, "attack"));
	const char *only = json_string_value(json_object_get(request, "only"));

	take_aim(request, a);
	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(sets); i++)
		if (strcmp(sets[i]->name, name) == 0)
			return try_all(sets[i], only, a);
	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(more); i++)
		if (strcmp(more[i].name, name) == 0)
			return more[i].run(request, a);
	return json_null();
}
