/*
 * The surveyor: looks once at share roots, before a configuration that names them comes into force,
 * and ends. Each root has a thread, so one whose file system hangs holds up no other; who waits for
 * the answers, supervisor/survey.c, gives up on it. Nothing that a stranger chose is read here.
 */
#include <pthread.h>
#include <stdio.h>

#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "lib/io.h"
#include "lib/own.h"

_Static_assert(CONFIG_SHARES_MAX <= 64, "a bit for each share");

static const struct config *config;
static unsigned numbers[CONFIG_SHARES_MAX];

static void *
look(void *userdata)
{
	struct packet_surveyed p = { .share = *(const unsigned *)userdata };
	struct config_problems problems = { .n = 0 };
	dev_t device = config_check_root(config, p.share, &problems);
	int r = 0;

	for (size_t i = 0; i < problems.n && r == 0; i++) {
		p.fatal = problems.list[i].fatal;
		(void)snprintf(p.text, sizeof(p.text), "%s", problems.list[i].text);
		r = io_send_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, 0);
	}
	config_problems_done(&problems);
	p.end = 1;
	p.device = device;
	if (r == 0)
		(void)io_send_packet(ROLE_FD_HOUSE, &p, sizeof(p), NULL, 0, 0);
	return NULL;
}

int
surveyor_main(void)
{
	pthread_t threads[CONFIG_SHARES_MAX];
	struct packet_survey which;
	unsigned n = 0;

	if (role_begin("ftd-surveyor") < 0 || role_map_config(ROLE_FD_CONFIG, &config) < 0)
		return ROLE_EXIT_SETUP;
	if (io_recv_packet(ROLE_FD_HOUSE, &which, sizeof(which), NULL, 0, NULL, 0) !=
	    (ssize_t)sizeof(which))
		return ROLE_EXIT_PROTOCOL;
	for (unsigned i = 0; i < config->n_shares; i++) {
		numbers[i] = i;
		if ((which.shares & UINT64_C(1) << i) != 0 &&
		    pthread_create(&threads[n], NULL, look, &numbers[i]) == 0)
			n++;
	}
	while (n > 0)
		(void)pthread_join(threads[--n], NULL);
	return ROLE_EXIT_OK;
}
