/* The house of the gates: sandboxes itself once, then only takes sockets and clones. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/common/role.h"
#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "daemon/gate/keypair.h"
#include "daemon/gate/tls.h"
#include "lib/io.h"
#include "lib/own.h"

enum { HEAP_KEEP = 4 << 20, MEMORY_MAX = 64 << 20 };

static struct gate_world world;

static void
child(const struct packet_birth *birth, const int *fds)
{
	const int keep[] = { ROLE_FD_LOG, fds[BIRTH_CONNECTION], fds[BIRTH_PRIVILEGE],
			     fds[BIRTH_STREAM] };

	role_set_name("ftd-gate");
	role_close_others(STDERR_FILENO, keep, ARRAY_SIZE(keep));
	if (sandbox_enter(SANDBOX_GATE) < 0)
		_exit(ROLE_EXIT_SETUP);
	_exit(gate_run(&world, birth, fds));
}

/* --- the certificate */

static void
tell_certificate(const struct certificate_info *info, const char *why)
{
	struct packet_certificate p = { .type = HOUSE_CERTIFICATE,
					.not_before = info->not_before,
					.not_after = info->not_after };

	memcpy(p.fingerprint, info->fingerprint, sizeof(p.fingerprint));
	memcpy(p.subject, info->subject, sizeof(p.subject));
	(void)snprintf(p.why, sizeof(p.why), "%s", why);
	(void)io_send_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, 0);
}

/* The one time that anybody reads the key. The supervisor hears what came of it. */
static int
prepare_tls(void)
{
	struct certificate_info info = { 0 };
	struct certificate_files files;
	char why[KEYPAIR_WHY_MAX] = "";
	int r;

	certificate_files(world.config, &files);
	world.tls = tls_context(world.config, why);
	r = world.tls != NULL ? keypair_ensure(&files, why) : -EINVAL;
	if (r == 0)
		r = keypair_load(world.tls, &files, &info, why);
	tell_certificate(&info, why);
	return r;
}

/* A request may have a secret in it, and its gate may live on as a pump. */
static void
free_wiped(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* What a library would otherwise look up behind the sandbox, or seed from the clock. */
static void
prepare_libraries(void)
{
	json_set_alloc_funcs(malloc, free_wiped);
	json_object_seed(0);
	tzset();
	/* buffers of OpenSSL come and go with every burst: from the heap, not from the kernel */
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_KEEP);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
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
	/* house, log, three that came in the packet, and the numbers between */
	const struct rlimit descriptors = { 16, 16 };
	int r;

	if (role_begin("ftd-gatehouse") < 0)
		return ROLE_EXIT_SETUP;
	if (role_map_config(ROLE_FD_CONFIG, &world.config) < 0)
		return ROLE_EXIT_SETUP;
	rolelog_init(ROLE_FD_LOG, world.config->log_level);
	world.public = board_map_public(ROLE_FD_PUBLIC);
	(void)close(ROLE_FD_PUBLIC);
	if (world.public == NULL)
		return ROLE_EXIT_SETUP;
	prepare_libraries();
	if (prepare_tls() < 0)
		return ROLE_EXIT_SETUP;
	if (setrlimit(RLIMIT_NOFILE, &descriptors) < 0 || role_limit_memory(MEMORY_MAX) < 0)
		return ROLE_EXIT_SETUP;
	r = enter_sandbox(world.config);
	if (r < 0) {
		rolelog(3, "gatehouse: cannot enter the sandbox, not starting: %s", strerror(-r));
		return ROLE_EXIT_SETUP;
	}
	return house_loop(child, BIRTH_FDS);
}
