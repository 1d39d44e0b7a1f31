/* The house of the gates: sandboxes itself once, then only takes sockets and clones. */
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "lib/own.h"

static struct gate_world world;

static void
child(const struct packet_birth *birth, int connection, int privilege)
{
	const int keep[] = { ROLE_FD_LOG, connection, privilege };

	role_set_name("ftd-gate");
	role_close_others(STDERR_FILENO, keep, ARRAY_SIZE(keep));
	if (sandbox_enter(SANDBOX_GATE) < 0)
		_exit(ROLE_EXIT_SETUP);
	_exit(gate_run(&world, birth, connection, privilege));
}

/* What a library would otherwise look up behind the sandbox, or seed from the clock. */
static void
prepare_libraries(void)
{
	json_object_seed(0);
	tzset();
}

static int
enter_sandbox(const struct config *c)
{
	int r;

	r = sandbox_compile(SANDBOX_GATEHOUSE);
	if (r == 0)
		r = sandbox_compile(SANDBOX_GATE);
	if (r < 0)
		return r;
	r = sandbox_landlock(NULL, 0);
	if (r < 0 && c->sandbox == CONFIG_SANDBOX_REQUIRE)
		return r;
	return sandbox_enter(SANDBOX_GATEHOUSE);
}

int
gatehouse_main(void)
{
	/* house, log, two that came in the packet, and the numbers between */
	const struct rlimit descriptors = { 16, 16 };
	int r;

	role_set_name("ftd-gatehouse");
	role_reset_signals();
	if (role_map_config(ROLE_FD_CONFIG, &world.config) < 0)
		return ROLE_EXIT_SETUP;
	rolelog_init(ROLE_FD_LOG, world.config->log_level);
	world.public = board_map_public(ROLE_FD_PUBLIC);
	(void)close(ROLE_FD_PUBLIC);
	if (world.public == NULL)
		return ROLE_EXIT_SETUP;
	prepare_libraries();
	if (setrlimit(RLIMIT_NOFILE, &descriptors) < 0)
		return ROLE_EXIT_SETUP;
	r = enter_sandbox(world.config);
	if (r < 0) {
		rolelog(3, "gatehouse: cannot enter the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return house_loop(child);
}
